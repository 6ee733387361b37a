// Pictures of the console: plain SVG, each with its numbers in a table beside it.

let tables = 0;
const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes and children; texts are only ever set as text. */
export function make(name, given = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(given)) {
    if (key === "class") element.className = value;
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== false && value !== null) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function draw(name, given = {}, text = "") {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(given)) element.setAttribute(key, value);
  if (text) element.textContent = text;
  return element;
}

/** A table in a box that scrolls by itself; the first column names the row. */
export function table(caption, heads, rows) {
  const head = make("tr", {}, ...heads.map((one) => make("th", { scope: "col", class: one.text ? "text" : "" }, one.name)));
  const body = rows.map((row) =>
    make("tr", {}, ...row.map((cell, i) => {
      const given = cell instanceof Object && !(cell instanceof Node) ? cell : { value: cell };
      if (i === 0) return make("th", { scope: "row" }, given.value);
      const kind = [heads[i].text ? "text" : "", given.bad ? "bad" : ""].join(" ").trim();
      return make("td", { class: kind }, given.value);
    })));
  const title = `table-${++tables}`;  // beside the table, not in it: on a phone it must not scroll away
  const whole = make("table", { "aria-labelledby": title }, make("thead", {}, head), make("tbody", {}, ...body));
  const box = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-labelledby": title }, whole);
  return make("div", {}, make("p", { class: "caption", id: title }, caption), box);
}

/** Numbers of a picture, for whoever does not see it or wants them exactly. */
export function numbers(caption, heads, rows) {
  return make("details", {}, make("summary", {}, `Numbers: ${caption}`), table(caption, heads, rows));
}

/** Bars by day, one picture per series, on one scale. */
export function bars(title, days, values, most) {
  const width = 300, height = 90, base = 70, step = width / days.length;
  const top = Math.max(1, most);
  const total = values.reduce((a, b) => a + b, 0);
  const picture = draw("svg", { class: "small", viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": `${title}: ${count(total)} in ${days.length} days` });
  values.forEach((value, i) => {
    const tall = (value / top) * (base - 12);
    picture.append(draw("rect", { class: "bar", x: i * step + step * 0.1, y: base - tall, width: step * 0.8, height: tall }));
  });
  picture.append(draw("line", { class: "axis", x1: 0, x2: width, y1: base, y2: base }));
  picture.append(draw("text", { x: 0, y: height - 4 }, short(days[0])));
  picture.append(draw("text", { x: width, y: height - 4, "text-anchor": "end" }, short(days.at(-1))));
  picture.append(draw("text", { x: 0, y: 10 }, count(Math.max(...values))));
  return make("figure", {}, make("h3", {}, `${title}: ${count(total)}`), picture);
}

/** Rates of trailing days against the lines that they must not cross; days beyond chance marked. */
export function control(title, days, rates, lines, signals) {
  const width = 640, height = 200, left = 52, right = 8, base = 168, head = 16;
  const known = rates.filter((rate) => rate !== null);
  const top = Math.max(...known, ...lines) * 1.15 || 1;
  const x = (i) => left + (i * (width - left - right)) / Math.max(1, days.length - 1);
  const y = (rate) => base - (rate / top) * (base - head);
  const beyond = signals.length ? `; beyond chance on ${signals.join(", ")}` : "; no day beyond chance";
  const latest = known.length ? percent(known.at(-1)) : "no mail";
  const picture = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${title}: latest ${latest}${beyond}` });
  picture.append(draw("line", { class: "axis", x1: left, x2: width - right, y1: base, y2: base }));
  picture.append(draw("text", { x: left - 6, y: base + 4, "text-anchor": "end" }, "0 %"));
  for (const line of lines) picture.append(draw("line", { class: "limit", x1: left, x2: width - right, y1: y(line), y2: y(line) }));
  let free = base - 14;  // names of lines that lie on each other are left out, from the bottom up
  for (const rate of [...lines, top / 1.15].sort((a, b) => a - b)) {
    if (y(rate) > free) continue;
    picture.append(draw("text", { x: left - 6, y: y(rate) + 4, "text-anchor": "end" }, percent(rate)));
    free = y(rate) - 14;
  }
  let path = "", down = false;
  rates.forEach((rate, i) => {
    if (rate !== null) path += `${down ? "L" : "M"}${x(i).toFixed(1)} ${y(rate).toFixed(1)}`;
    down = rate !== null;
  });
  picture.append(draw("path", { class: "line", d: path || "M0 0" }));
  days.forEach((day, i) => {
    if (!signals.includes(day)) return;
    const at = x(i), height0 = y(rates[i] ?? 0) - 6;
    picture.append(draw("path", { class: "signal", d: `M${at} ${height0 - 12}l7 12h-14z` }));
  });
  picture.append(draw("text", { x: left, y: height - 8 }, short(days[0])));
  picture.append(draw("text", { x: width - right, y: height - 8, "text-anchor": "end" }, short(days.at(-1))));
  return make("figure", {}, make("h3", {}, title), picture);
}

/** A difference with its interval, 0 marked, and what is worth having between dashed lines. */
export function interval(title, told, value, lower, upper, worth) {
  const width = 420, height = 70, middle = 30, ends = [0, value, lower, upper, ...(worth ? [worth, -worth] : [])];
  const low = Math.min(...ends), span = Math.max(...ends) - low || 1;
  const x = (at) => 12 + ((at - low) / span) * (width - 24);
  const picture = draw("svg", { class: "small", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${title}: ${told}` });
  for (const at of worth ? [-worth, worth] : []) picture.append(draw("line", { class: "limit", x1: x(at), x2: x(at), y1: 8, y2: 52 }));
  picture.append(draw("line", { class: "axis", x1: x(0), x2: x(0), y1: 8, y2: 52 }));
  picture.append(draw("text", { x: x(0), y: height - 4, "text-anchor": x(0) < 30 ? "start" : x(0) > width - 30 ? "end" : "middle" }, "0"));
  picture.append(draw("line", { class: "line", x1: x(lower), x2: x(upper), y1: middle, y2: middle }));
  for (const at of [lower, upper]) picture.append(draw("line", { class: "line", x1: x(at), x2: x(at), y1: middle - 7, y2: middle + 7 }));
  picture.append(draw("circle", { class: "bar", cx: x(value), cy: middle, r: 6 }));
  return make("figure", {}, make("h3", {}, title), picture, make("figcaption", {}, told));
}

/** A share as a bar and as a number. */
export function share(value) {
  const box = draw("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" });
  box.append(draw("rect", { class: "bar", x: 0, y: 0, width: 100 * Math.min(1, value), height: 10 }));
  return make("span", {}, make("span", { class: "share" }, box), percent(value));
}

export const count = (n) => n.toLocaleString("en-US");

/** A share as per cent: two digits that say something, never 0 for what is not 0. */
export function percent(value) {
  if (value === null || value === undefined) return "no mail";
  const per = 100 * value;  // no line ends between a number and its sign
  return `${per === 0 ? "0" : per < 0.01 ? "< 0.01" : per < 1 ? per.toFixed(2) : per.toFixed(1)}\u00a0%`;
}

const short = (day) => day.slice(5);
