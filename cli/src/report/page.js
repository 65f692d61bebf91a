const tip = document.getElementById("tip");
const units = {
  count: v => Math.round(v).toLocaleString("en"),
  number: v => v.toPrecision(3),
  percent: v => (100 * v).toFixed(1) + " %",
  bytes: v => (v / 1048576).toPrecision(3) + " MiB",
};
const axis = text => {
  const [from, to, left, right, kind, unit] = text.split(" ");
  const value = pixel => {
    const part = (pixel - left) / (right - left);
    return kind === "log" ? from * (to / from) ** part : +from + part * (to - from);
  };
  return pixel => units[unit](value(pixel));
};
for (const plot of document.querySelectorAll(".plot")) {
  const [x, y] = [axis(plot.dataset.x), axis(plot.dataset.y)];
  const cursor = plot.querySelector(".cursor");
  const hide = () => { tip.style.visibility = cursor.style.visibility = "hidden"; };
  plot.addEventListener("pointermove", event => {
    const pointer = new DOMPoint(event.clientX, event.clientY).matrixTransform(plot.getScreenCTM().inverse());
    const near = new Map();
    for (const line of plot.querySelectorAll(".line"))
      for (const point of line.points) {
        const off = Math.abs(point.x - pointer.x), best = near.get(line.dataset.name);
        if (!(off >= (best ? best.off : 24))) near.set(line.dataset.name, { off, x: point.x, y: point.y });
      }
    if (near.size === 0) return hide();
    const closest = [...near.values()].reduce((a, b) => (a.off > b.off ? b : a));
    const distance = point => Math.abs(point.y - pointer.y);
    const limit = [...near.values()].map(distance).sort((a, b) => a - b)[Math.min(near.size, 10) - 1];
    const shown = [...near].filter(entry => !(distance(entry[1]) > limit));
    const lines = shown.map(([name, point]) => name + "  " + y(point.y));
    tip.textContent = [plot.dataset.label + " " + x(closest.x), ...lines].join("\n");
    cursor.setAttribute("x1", closest.x);
    cursor.setAttribute("x2", closest.x);
    const side = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
    tip.style.left = side + "px";
    tip.style.top = Math.max(event.clientY - tip.offsetHeight - 12, 8) + "px";
    tip.style.visibility = cursor.style.visibility = "visible";
  });
  plot.addEventListener("pointerleave", hide);
}
