// What the page does beyond showing: tables sort and filter, pictures answer, confusions are chosen.
// It says the same without this script.
const specs = JSON.parse(document.getElementById("specs").textContent);
const memory = new Map(); // what a table was set to, kept while the live page replaces it
document.documentElement.classList.add("scripted");

function value(cell) {
  const text = cell.dataset.sort ?? cell.textContent.trim();
  const number = parseFloat(text.replace(/,/g, ""));
  return Number.isNaN(number) ? text.toLowerCase() : number;
}

function sortBy(table, n, direction) {
  const body = table.tBodies[0];
  const sign = direction === "ascending" ? 1 : -1;
  const rows = [...body.rows].map((row) => [value(row.cells[n]), row]);
  rows.sort(([a], [b]) => {
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1; // numbers first, what is missing last
    return sign * (typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true }));
  });
  body.append(...rows.map(([, row]) => row));
  [...table.tHead.rows[0].cells].forEach((th, i) => (i === n ? th.setAttribute("aria-sort", direction) : th.removeAttribute("aria-sort")));
}

function filter(table, state, count) {
  let shown = 0;
  for (const row of table.tBodies[0].rows) {
    const text = row.textContent.toLowerCase();
    const right = Object.entries(state.choices).every(([n, wanted]) => !wanted || row.cells[n].textContent.trim() === wanted);
    row.hidden = !(right && text.includes(state.text.toLowerCase()));
    shown += row.hidden ? 0 : 1;
  }
  count.textContent = `${shown} of ${table.tBodies[0].rows.length} rows`;
}

function labelled(text, control) {
  const label = document.createElement("label");
  label.append(text, control);
  return label;
}

function addFilters(table, state) {
  const bar = document.createElement("div");
  bar.className = "filters";
  const count = document.createElement("span");
  count.setAttribute("role", "status");
  [...table.tHead.rows[0].cells].forEach((th, n) => {
    if (!("choices" in th.dataset)) return;
    const found = [...new Set([...table.tBodies[0].rows].map((row) => row.cells[n].textContent.trim()))].sort();
    const select = document.createElement("select");
    select.append(new Option("all", ""), ...found.map((name) => new Option(name, name)));
    select.value = state.choices[n] ?? "";
    if (select.value !== (state.choices[n] ?? "")) select.value = state.choices[n] = "";
    select.addEventListener("change", () => { state.choices[n] = select.value; filter(table, state, count); });
    bar.append(labelled(th.textContent.trim(), select));
  });
  const text = document.createElement("input");
  text.type = "search";
  text.value = state.text;
  text.addEventListener("input", () => { state.text = text.value; filter(table, state, count); });
  bar.append(labelled("contains", text), count);
  table.closest(".scroll").before(bar);
  filter(table, state, count);
}

function prepareTable(table) {
  const state = memory.get(table.id) ?? { choices: {}, text: "", sorted: null };
  memory.set(table.id, state);
  if ("filters" in table.dataset) addFilters(table, state);
  [...table.tHead.rows[0].cells].forEach((th, n) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = th.textContent.trim();
    button.addEventListener("click", () => {
      const first = th.classList.contains("num") ? "descending" : "ascending";
      const other = first === "ascending" ? "descending" : "ascending";
      state.sorted = [n, th.getAttribute("aria-sort") === first ? other : first];
      sortBy(table, ...state.sorted);
    });
    th.replaceChildren(button);
  });
  if (state.sorted) sortBy(table, ...state.sorted);
}

function prepareChooser(chooser) {
  const options = [...chooser.querySelectorAll(":scope > .option")];
  const chosen = memory.get(chooser.dataset.chooser) ?? options.slice(0, 2).map((option) => option.dataset.name);
  memory.set(chooser.dataset.chooser, chosen);
  chosen.forEach((name, side) => {
    const pane = document.createElement("div");
    pane.className = "pane";
    const select = document.createElement("select");
    select.append(...options.map((option) => new Option(option.dataset.name)));
    const place = document.createElement("div");
    const show = () => {
      chosen[side] = select.value;
      const own = options.find((option) => option.dataset.name === select.value) ?? options[side];
      place.replaceChildren(...[...own.children].slice(1).map((child) => child.cloneNode(true)));
    };
    select.value = options.some((option) => option.dataset.name === name) ? name : options[side].dataset.name;
    select.addEventListener("change", show);
    pane.append(labelled(`${side ? "Second" : "First"} ${chooser.dataset.label} `, select), place);
    chooser.append(pane);
    show();
  });
}

async function draw(figure) {
  const spec = specs[figure.dataset.chart];
  const plot = figure.querySelector(".plot");
  if (!spec || plot.dataset.drawn) return;
  plot.dataset.drawn = "yes";
  const drawn = document.createElement("div");
  const narrow = plot.clientWidth < 520;
  const legend = { ...spec.config.legend, columns: narrow ? 2 : spec.config.legend.columns };
  const own = { ...spec, width: "container", config: { ...spec.config, legend } };
  const options = { renderer: "svg", ast: true, logLevel: 1, actions: { export: true, source: false, compiled: false, editor: false } };
  const before = [...plot.children];
  plot.prepend(drawn);
  try {
    await window.vegaEmbed(drawn, own, options);
    before.forEach((child) => child.remove());
  } catch (error) {
    drawn.remove(); // the picture that was drawn before stays
    console.warn(`${figure.dataset.chart}: ${error.message}`);
  }
}

const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) { seen.unobserve(entry.target); draw(entry.target); }
}, { rootMargin: "300px" });

function prepare(root) {
  root.querySelectorAll("[data-table]").forEach(prepareTable);
  root.querySelectorAll("[data-chooser]").forEach(prepareChooser);
  if (window.vegaEmbed) root.querySelectorAll("[data-chart]").forEach((figure) => seen.observe(figure));
}

function openTarget() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target?.tagName === "DETAILS") { target.open = true; target.querySelector("summary").focus({ preventScroll: true }); target.scrollIntoView(); }
}

prepare(document);
openTarget();
addEventListener("hashchange", openTarget);
// What is closed on the screen is printed all the same.
addEventListener("beforeprint", () => document.querySelectorAll("main details:not([open]):not(.vega-embed details)").forEach((d) => { d.open = true; d.dataset.closed = "yes"; }));
addEventListener("afterprint", () => document.querySelectorAll("details[data-closed]").forEach((d) => { d.open = false; delete d.dataset.closed; }));
window.emofusePage = { prepare, specs, draw };
