"""What the study found, as a Markdown table and as a plot."""

import math
import re
import statistics

MIB = 1 << 20
RIVAL = "bp"
TORCH = "torch"


def of_rate(way):
    """The name of a way and, if it has one of its own, its rate: `bp-rate-0.05` is bp at 0.05."""
    parts = re.fullmatch(r"(.+)-rate-([0-9.]+)", way)
    return parts.groups() if parts else (way, None)


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


def beside_pytorch(measures):
    """The measures, and what PyTorch took beside them: one row for each network."""
    same = {"way": TORCH, "lean": False, "ratio": 1.0, "quiet": True}
    twins = {row["model"]: row | same | {"live": row["torch_live"]} for row in measures}
    return measures + list(twins.values())


def measured(measures, model, way):
    """What was measured of a way, {lean: row}; its rate changes neither peak nor time."""
    name, _ = of_rate(way)
    return {row["lean"]: row for row in measures if row["model"] == model and row["way"] == name}


def cost(measures, model, way):
    """Peak and step of a way, as it is and lean; a dash where they were not measured."""
    forms = measured(measures, model, way)
    cells = []
    for show in (
        lambda row: f"{row['live'] / MIB:.1f}",
        lambda row: f"{row['live'] / row['torch_live']:.2f}",
        lambda row: f"{row['ratio']:.2f}" + ("" if row["quiet"] else " disturbed"),
    ):
        cells.append(" / ".join(show(forms[lean]) for lean in (False, True) if lean in forms) or "–")
    return cells


def chosen(groups, ways):
    """The runs of the ways that were named, or of all at the recipe's rate."""
    missing = [way for way in ways if way not in groups]
    if missing:
        raise SystemExit(f"no results of {', '.join(missing)} with so many epochs; `run` makes them")
    return {way: rows for way, rows in groups.items() if (way in ways if ways else not of_rate(way)[1])}


def table(groups, measures, model, ways=()):
    """A row for each way of those `chosen`, the most accurate first."""
    shown = chosen(groups, ways)
    rivals = next((rows for way, rows in shown.items() if of_rate(way)[0] == RIVAL), [])
    lines = ["| way | accuracy, % | seeds | below bp | peak, MiB | of PyTorch's | step, of PyTorch's |"]
    lines.append("|---|---|---|---|---|---|---|")
    for way, rows in sorted(shown.items(), key=lambda item: -percent(item[1])):
        deviation = f" ± {statistics.stdev(100 * row['accuracy'] for row in rows):.2f}" if len(rows) > 1 else ""
        costs = cost(measures, model, way)
        cells = [way, f"{percent(rows):.2f}{deviation}", str(len(rows)), gap(rows, rivals), *costs]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def rates(groups, usual):
    """Accuracies of the ways that were trained at several rates, by the seeds they share; the best of each in bold."""
    found = {}
    for way, rows in groups.items():
        name, rate = of_rate(way)
        found.setdefault(name, {})[float(rate or usual)] = {row["seed"]: row for row in rows}
    means = {}
    for name, ways in found.items():
        shared = set.intersection(*map(set, ways.values()))
        if len(ways) > 1 and shared:
            means[name] = {rate: percent(rows[seed] for seed in shared) for rate, rows in ways.items()}
    if not means:
        raise SystemExit("no way has results at several rates; run NAME and NAME-rate-R first")
    columns = sorted({rate for ways in means.values() for rate in ways})
    lines = ["| way, at a rate of | " + " | ".join(map(str, columns)) + " |", "|---" * (1 + len(columns)) + "|"]
    for name, ways in sorted(means.items(), key=lambda item: -max(item[1].values())):
        best = max(ways.values())
        show = lambda value: f"**{value:.2f}**" if value == best else f"{value:.2f}"
        lines.append(f"| {name} | " + " | ".join(show(ways[rate]) if rate in ways else "–" for rate in columns) + " |")
    return "\n".join(lines)


def machines(measures):
    """On what, and with which programs, peaks and steps were measured."""
    groups = {}
    for row in measures:
        models, versions = groups.setdefault((row["machine"], row["threads"]), (set(), set()))
        models.add(row["model"])
        versions.add(row["version"])
    return "\n".join(
        f"- {', '.join(sorted(models))}: {threads} threads of {machine}; localgrad at {', '.join(sorted(versions))}"
        for (machine, threads), (models, versions) in sorted(groups.items())
    )


WIDTH, MARGIN = 470, 50
LEAST_HEIGHT = 520
# So that the names of many ways find room.
HEIGHT_EACH = 28


def color(way):
    return "#c33" if way in (RIVAL, TORCH) or way.startswith(RIVAL + "-") else "#036"


def front(points):
    """Of points (x, y, ...) those that have more y than all with no more x, from left to right."""
    best, kept = -math.inf, []
    for point in sorted(points, key=lambda point: (point[0], -point[1])):
        if point[1] > best:
            best = point[1]
            kept.append(point)
    return kept


def axes(title, left, floor, low, high, bottom, top, across, up):
    text = [f'<text x="{left + WIDTH / 2}" y="20" text-anchor="middle" font-size="12">{title}</text>']
    for x in (low, math.sqrt(low * high), high):
        number = f"{x:.0f}" if x >= 10 else f"{x:.2f}"
        text.append(f'<text x="{across(x):.1f}" y="{floor + 18}" text-anchor="middle">{number}</text>')
    step = next(step for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20) if (top - bottom) / step <= 8)
    for number in range(math.ceil(bottom / step), math.floor(top / step) + 1):
        y = number * step
        text.append(f'<text x="{left + MARGIN - 8}" y="{up(y) + 4:.1f}" text-anchor="end">{y:.{int(step < 1)}f}</text>')
        text.append(f'<path d="M{left + MARGIN} {up(y):.1f}h{WIDTH - 2 * MARGIN}" stroke="#eee"/>')
    return text


def beside(name, span, sides, taken):
    """The box in which a name is written: by its span, where it touches least of what is there. It is then there, too."""
    first, last, y = span
    width = 4.4 * len(name)
    middle = min(max((first + last - width) / 2, sides[0]), sides[1] - width)
    along = lambda *lines: [(x, line) for line in lines for x in (middle, first, last - width)]
    places = [*along(y - 6), (last + 7, y + 3), (first - 7 - width, y + 3), *along(y + 12, y - 15, y + 21, y - 24, y + 30)]
    boxes = [(x, line - 7, x + width, line + 1) for x, line in places if sides[0] <= x <= sides[1] - width]

    def overlap(box):
        across = lambda other: max(0, min(box[2], other[2]) - max(box[0], other[0]))
        up = lambda other: max(0, min(box[3], other[3]) - max(box[1], other[1]))
        return sum(across(other) * up(other) for other in taken)

    box = min(boxes, key=overlap)
    taken.append(box)
    return box


def leader(box, span):
    """A line from a name to its span, where others stand between them."""
    first, last, y = span
    near = box[1] if box[1] > y else box[3]
    middle = (box[0] + box[2]) / 2
    if abs(near - y) < 9:
        return ""
    return f'<path d="M{middle:.1f} {near:.1f}L{min(max(middle, first), last):.1f} {y:.1f}" stroke="#999" stroke-width="0.5"/>'


def panel(ways, title, left, height):
    """One chart of ways (name, accuracy, {lean: x}): accuracy upwards, x to the right on a logarithmic scale."""
    floor = height - MARGIN
    points = [(x, y, way, lean) for way, y, forms in ways for lean, x in forms.items()]
    low, high = min(x for x, *_ in points), max(x for x, *_ in points)
    levels = [y for _, y, _ in ways]
    room = max(0.1, 0.08 * (max(levels) - min(levels)))
    bottom, top = min(levels) - room, max(levels) + room
    across = lambda x: left + MARGIN + (WIDTH - 2 * MARGIN) * (math.log(x / low) / (math.log(high / low) or 1))
    up = lambda y: floor - (floor - MARGIN) * (y - bottom) / (top - bottom)
    text = axes(title, left, floor, low, high, bottom, top, across, up)
    steps, reached = "", None
    for x, y, *_ in front(points):
        steps += f"M{across(x):.1f} {up(y):.1f}" if reached is None else f"H{across(x):.1f}V{up(y):.1f}"
        reached = y
    text.append(f'<path d="{steps}H{left + WIDTH - MARGIN}" fill="none" stroke="#bbb" stroke-dasharray="3 3"/>')
    spans = [(way, across(min(forms.values())), across(max(forms.values())), up(y)) for way, y, forms in ways]
    spans.sort(key=lambda span: span[3])
    for way, first, last, y in spans:
        text.append(f'<path d="M{first:.1f} {y:.1f}H{last:.1f}" stroke="{color(way)}" stroke-opacity="0.4"/>')
    taken = [(first - 5, y - 4, last + 5, y + 4) for _, first, last, y in spans]
    for way, first, last, y in spans:
        box = beside(way, (first, last, y), (left + MARGIN - 8, left + WIDTH - 5), taken)
        text.append(leader(box, (first, last, y)))
        text.append(f'<text x="{box[0]:.1f}" y="{box[3] - 1:.1f}" font-size="8" fill="{color(way)}">{way}</text>')
    for x, y, way, lean in points:
        fill = "white" if lean else color(way)
        text.append(f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="3.5" fill="{fill}" stroke="{color(way)}" stroke-width="1.5"/>')
    return "".join(text)


LEGEND = (
    "full: as it is; hollow: lean, the same result while less is kept; red: end to end; "
    "dashed: the most accurate for no more"
)


def plot(groups, measures, model, ways=()):
    """Accuracy of those `chosen` against peak and against the time of a step as a share of PyTorch's, as SVG."""
    found = [(way, percent(rows), measured(measures, model, way)) for way, rows in chosen(groups, ways).items()]
    found = [(way, accuracy, forms) for way, accuracy, forms in found if forms]
    if len(found) < 2:
        raise SystemExit(f"fewer than two ways to train {model} have results and measures; run and measure some first")
    against = lambda x: [(way, y, {lean: x(row) for lean, row in forms.items()}) for way, y, forms in found]
    peaks, times = against(lambda row: row["live"] / MIB), against(lambda row: row["ratio"])
    height = max(LEAST_HEIGHT, HEIGHT_EACH * len(found))
    memory = panel(peaks, f"{model}: accuracy, % / peak memory, MiB", 0, height)
    time = panel(times, f"{model}: accuracy, % / time of a step, of PyTorch's", WIDTH, height)
    width = 2 * WIDTH
    view = f'viewBox="0 0 {width} {height + 20}" font-family="sans-serif" font-size="10"'
    legend = f'<text x="{WIDTH}" y="{height + 5}" text-anchor="middle">{LEGEND}</text>'
    paper = f'<rect width="{width}" height="{height + 20}" fill="white"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {view}>{paper}{memory}{time}{legend}</svg>\n'
