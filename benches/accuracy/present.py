"""What the study found, as a Markdown table and as a plot."""

import math
import statistics

MIB = 1 << 20
RIVAL = "bp"


def grouped(results, model, hold_out, epochs):
    """Each way's runs of so many epochs, judged by the last `hold_out` training images, or by the test images."""
    groups = {}
    for row in results:
        if (row["model"], row["hold_out"], row["epochs"]) == (model, hold_out, epochs):
            groups.setdefault(row["way"], []).append(row)
    return groups


def percent(rows):
    return 100 * statistics.mean(row["accuracy"] for row in rows)


def gap(rows, rivals):
    """How far below the rival's runs of the same seeds, in points."""
    seeds = {row["seed"]: row for row in rivals}
    same = [100 * (seeds[row["seed"]]["accuracy"] - row["accuracy"]) for row in rows if row["seed"] in seeds]
    return f"{statistics.mean(same):.2f}" if same else ""


def cost(measures, model, way):
    """Peak and step of a way, as it is and lean; dashes where they were not measured."""
    forms = {row["lean"]: row for row in measures if row["model"] == model and row["way"] == way}
    cells = []
    for show in (
        lambda row: f"{row['live'] / MIB:.1f}",
        lambda row: f"{row['live'] / row['torch_live']:.2f}",
        lambda row: f"{row['ratio']:.2f}",
    ):
        cells.append(" / ".join(show(forms[lean]) if lean in forms else "–" for lean in (False, True)))
    return cells


def table(groups, measures, model):
    """A row for each way, the most accurate first."""
    lines = ["| way | accuracy, % | seeds | below bp | peak, MiB | of PyTorch's | step, of PyTorch's |"]
    lines.append("|---|---|---|---|---|---|---|")
    for way, rows in sorted(groups.items(), key=lambda item: -percent(item[1])):
        deviation = f" ± {statistics.stdev(100 * row['accuracy'] for row in rows):.2f}" if len(rows) > 1 else ""
        below = gap(rows, groups.get(RIVAL, []))
        cells = [way, f"{percent(rows):.2f}{deviation}", str(len(rows)), below, *cost(measures, model, way)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def panel(ways, title, left):
    """One chart of ways (name, accuracy, {lean: x}): accuracy upwards, x to the right on a logarithmic scale. A way is a line
    from what it is to what it is lean, a hollow circle; where nothing else is as good at no more, the circle is dark."""
    width, height, margin = 420, 360, 50
    points = sorted((x, -y, way, lean) for way, y, forms in ways for lean, x in forms.items())
    low, high = points[0][0], points[-1][0]
    bottom, top = min(y for _, y, _ in ways) - 0.5, max(y for _, y, _ in ways) + 0.5
    across = lambda x: left + margin + (width - 2 * margin) * (math.log(x / low) / (math.log(high / low) or 1))
    up = lambda y: height - margin - (height - 2 * margin) * (y - bottom) / (top - bottom)
    text = [f'<text x="{left + width / 2}" y="20" text-anchor="middle" font-size="12">{title}</text>']
    for x in (low, math.sqrt(low * high), high):
        number = f"{x:.0f}" if x >= 10 else f"{x:.2f}"
        text.append(f'<text x="{across(x):.1f}" y="{height - margin + 18}" text-anchor="middle">{number}</text>')
    for y in range(math.ceil(bottom), math.floor(top) + 1, max(1, round((top - bottom) / 6))):
        text.append(f'<text x="{left + margin - 8}" y="{up(y) + 4:.1f}" text-anchor="end">{y}</text>')
        text.append(f'<path d="M{left + margin} {up(y):.1f}h{width - 2 * margin}" stroke="#eee"/>')
    for way, y, forms in ways:
        first, last = across(min(forms.values())), across(max(forms.values()))
        middle = min(max((first + last) / 2, left + margin + 40), left + width - margin - 40)
        text.append(f'<path d="M{first:.1f} {up(y):.1f}H{last:.1f}" stroke="#9ab"/>')
        text.append(f'<text x="{middle:.1f}" y="{up(y) - 6:.1f}" text-anchor="middle" font-size="8">{way}</text>')
    best = math.inf
    for x, y, way, lean in points:
        is_front, best = y < best, min(best, y)
        color = "#c33" if way.startswith(RIVAL) else "#036" if is_front else "#9ab"
        fill = "white" if lean else color
        text.append(f'<circle cx="{across(x):.1f}" cy="{up(-y):.1f}" r="3.5" fill="{fill}" stroke="{color}" stroke-width="1.5"/>')
    return "".join(text)


def plot(groups, measures, model):
    """Accuracy against peak and against the time of a step as a share of PyTorch's, as SVG."""
    costs = {}
    for row in measures:
        if row["model"] == model and row["way"] in groups:
            memory, time = costs.setdefault(row["way"], ({}, {}))
            memory[row["lean"]], time[row["lean"]] = row["live"] / MIB, row["ratio"]
    if len(costs) < 2:
        raise SystemExit(f"fewer than two ways to train {model} have results and measures; run and measure some first")
    ways = [[(way, percent(groups[way]), forms[number]) for way, forms in costs.items()] for number in (0, 1)]
    memory = panel(ways[0], f"{model}: accuracy, % / peak memory, MiB", 0)
    time = panel(ways[1], f"{model}: accuracy, % / time of a step, of PyTorch's", 430)
    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 360" font-family="sans-serif" font-size="10">'
    return f'{head}<rect width="860" height="360" fill="white"/>{memory}{time}</svg>\n'
