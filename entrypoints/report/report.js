"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const config = { displaylogo: false, responsive: true };

for (const [name, plot] of Object.entries(data.plots)) {
  Plotly.newPlot(name, plot.data, plot.layout, config);
}

const chosen = document.getElementById("square-chosen");
function showSquare(square) {
  const plot = data.squares[square];
  if (!plot) return;
  chosen.value = String(square);
  Plotly.react("square", plot.data, plot.layout, config);
}
if (chosen) {
  chosen.addEventListener("change", () => showSquare(chosen.value));
  showSquare(data.squares[data.shown] ? data.shown : chosen.value);
}
const atlas = document.getElementById("atlas");
if (atlas) {
  atlas.on("plotly_click", (event) => showSquare(event.points[0].customdata));
}

function element(name, text) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text === null ? "-" : String(text);
  return made;
}
function row(cells, kind) {
  const made = element("tr");
  made.append(...cells.map((cell) => element(kind, cell)));
  return made;
}
function trailOf(id) {
  const trail = data.trails[id];
  const inside = element("td");
  inside.colSpan = 7;
  const tables = [
    [`It rests on ${trail.predictions.length} predictions`, trail.predictions,
      ["EPU id", "model", "metric", "value", "selected", "came in", "source", "message"]],
    [`It puts ${trail.order.length} in order`, trail.order.map(([n, id, ...rest]) =>
      [n, id, ...rest.map((value) => Number(value).toFixed(3))]),
      ["place", "EPU id", "expected to be good", "uncertainty", "minutes"]],
  ];
  for (const [title, rows, names] of tables) {
    if (!rows.length) continue;
    const table = element("table");
    table.append(row(names, "th"), ...rows.map((one) => row(one, "td")));
    const scrolled = element("div");
    scrolled.className = "scrolled";
    scrolled.append(table);
    inside.append(element("h2", title), scrolled);
  }
  const facts = element("dl");
  for (const [name, said] of trail.decision) facts.append(element("dt", name), element("dd", said));
  inside.append(element("h2", "Its way to Athena"), facts);
  const made = element("tr");
  made.className = "trail";
  made.append(inside);
  return made;
}
function toggle(line) {
  const next = line.nextElementSibling;
  if (next && next.classList.contains("trail")) next.remove();
  else line.after(trailOf(line.dataset.id));
}
const table = document.getElementById("decisions");
if (table) {
  const lineOf = (event) => event.target.closest("tr[data-id]");
  table.addEventListener("click", (event) => lineOf(event) && toggle(lineOf(event)));
  table.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && lineOf(event)) toggle(lineOf(event));
  });
  document.getElementById("filter").addEventListener("input", (event) => {
    const wanted = event.target.value.toLowerCase();
    for (const opened of table.querySelectorAll(".trail")) opened.remove();
    for (const line of table.querySelectorAll("tr[data-id]")) {
      line.hidden = !line.textContent.toLowerCase().includes(wanted);
    }
  });
}
