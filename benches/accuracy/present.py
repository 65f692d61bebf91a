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


def panel(points, title, left):
    """One chart of (name, x, accuracy): accuracy upwards, x to the right on a logarithmic scale."""
    width, height, margin = 420, 340, 50
    low, high = min(x for _, x, _ in points), max(x for _, x, _ in points)
    bottom, top = min(y for *_, y in points) - 0.5, max(y for *_, y in points) + 0.5
    across = lambda x: left + margin + (width - 2 * margin) * (math.log(x / low) / (math.log(high / low) or 1))
    up = lambda y: height - margin - (height - 2 * margin) * (y - bottom) / (top - bottom)
    text = [f'<text x="{left + width / 2}" y="20" text-anchor="middle" font-size="12">{title}</text>']
    for x in (low, math.sqrt(low * high), high):
        number = f"{x:.0f}" if x >= 10 else f"{x:.2f}"
        text.append(f'<text x="{across(x):.1f}" y="{height - margin + 18}" text-anchor="middle">{number}</text>')
    for y in range(math.ceil(bottom), math.floor(top) + 1, max(1, round((top - bottom) / 6))):
        text.append(f'<text x="{left + margin - 8}" y="{up(y) + 4:.1f}" text-anchor="end">{y}</text>')
        text.append(f'<path d="M{left + margin} {up(y):.1f}h{width - 2 * margin}" stroke="#ddd"/>')
    best = -math.inf
    for way, x, y in sorted(points, key=lambda point: (point[1], -point[2])):
        is_front, best = y > best, max(best, y)
        color = "#c33" if way.startswith(RIVAL) else "#369" if is_front else "#9ab"
        weight = ' font-weight="bold"' if is_front else ""
        text.append(f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="3.5" fill="{color}"/>')
        text.append(f'<text x="{across(x) + 6:.1f}" y="{up(y) + 3:.1f}" font-size="8"{weight}>{way}</text>')
    return "".join(text)


def plot(groups, measures, model):
    """Accuracy against peak and against the time of a step as a share of PyTorch's, as SVG. The front is bold."""
    points = {"memory": [], "time": []}
    for row in measures:
        if row["model"] != model or row["way"] not in groups:
            continue
        name = f"{row['way']}, lean" if row["lean"] else row["way"]
        accuracy = percent(groups[row["way"]])
        points["memory"].append((name, row["live"] / MIB, accuracy))
        points["time"].append((name, row["ratio"], accuracy))
    if len(points["memory"]) < 2:
        raise SystemExit(f"fewer than two ways to train {model} have results and measures; run and measure some first")
    memory = panel(points["memory"], f"{model}: test accuracy, % / peak memory, MiB", 0)
    time = panel(points["time"], f"{model}: test accuracy, % / time of a step, of PyTorch's", 430)
    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 340" font-family="sans-serif" font-size="10">'
    return f'{head}<rect width="860" height="340" fill="white"/>{memory}{time}</svg>\n'
