"use strict";

// Tables: a press on a column's name sorts by it, the next one turns the order round, the third restores the first order.
// The untouched source has a body of its own and stays on top; cells without a number go last either way.
const words = new Intl.Collator("en", { numeric: true });
for (const table of document.querySelectorAll("table.sortable")) {
  const bodies = [...table.tBodies];
  const body = bodies.find((one) => one.querySelector("[data-method]")) ?? bodies[bodies.length - 1];
  const original = [...body.rows];
  const heads = [...table.querySelectorAll("th[aria-sort]")];
  heads.forEach((head, column) => {
    const up = head.dataset.first === "descending" ? ["descending", "ascending"] : ["ascending", "descending"];
    const cycle = ["none", ...up];
    head.querySelector("button").addEventListener("click", () => {
      const order = cycle[(cycle.indexOf(head.getAttribute("aria-sort")) + 1) % 3];
      heads.forEach((other) => other.setAttribute("aria-sort", other === head ? order : "none"));
      const sign = order === "descending" ? -1 : 1;
      body.append(...(order === "none" ? original : [...original].sort((a, b) => compare(a, b, column, sign))));
    });
  });
}

function compare(a, b, column, sign) {
  const [x, y] = [a.cells[column], b.cells[column]].map((cell) => cell.dataset.value ?? cell.textContent);
  if (x === "" || y === "") return (x === "") - (y === "");
  return sign * (column === 0 ? words.compare(x, y) : x - y || words.compare(x, y));
}

function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// Tools: light or dark, print.
const tools = {
  theme: (button) => {
    const root = document.documentElement;
    const dark = (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
    root.dataset.theme = dark ? "light" : "dark";
    button.textContent = dark ? "dark" : "light";
  },
  print: () => {
    document.querySelectorAll("details").forEach((one) => (one.open = true));
    window.print();
  },
};
for (const button of document.querySelectorAll("[data-do]")) {
  button.hidden = false;
  if (button.dataset.do === "theme" && matchMedia("(prefers-color-scheme: dark)").matches) button.textContent = "light";
  button.addEventListener("click", () => tools[button.dataset.do](button));
}

// Filters: what belongs to another domain or to a method without its tick is hidden.
for (const part of document.querySelectorAll(".part")) {
  const filters = part.querySelector(".filters");
  const domains = [...filters.querySelectorAll("input[type=radio]")];
  const methods = [...filters.querySelectorAll("input[type=checkbox]")];
  const of = (name) => [...part.querySelectorAll(`[data-${name}]`)].map((one) => [one, one.dataset[name]]);
  const [placed, owned] = [of("domain"), of("method")];
  const names = new Set(domains.map((input) => input.value));
  const known = new Set(methods.map((input) => input.value));

  function filter() {
    const domain = domains.find((input) => input.checked)?.value ?? "";
    for (const [one, own] of placed) one.toggleAttribute("hidden", domain !== "" && names.has(own) && own !== domain);
    const off = new Set(methods.filter((input) => !input.checked).map((input) => input.value));
    for (const [one, own] of owned) one.toggleAttribute("hidden", known.has(own) && off.has(own));
    part.dispatchEvent(new Event("filtered"));
  }

  filters.hidden = false;
  filters.addEventListener("change", filter);
  if (domains.length > 1 && matchMedia("(max-width: 48rem)").matches) domains[1].checked = true;

  // A row under the pointer stands out in the charts.
  for (const [one, own] of owned.filter(([one]) => one.tagName === "TR")) {
    const light = (on) => {
      for (const [other, whose] of owned) if (other.tagName === "g") other.classList.toggle("dim", on && whose !== own);
    };
    one.addEventListener("mouseenter", () => light(true));
    one.addEventListener("mouseleave", () => light(false));
  }

  choose(part);
  seeds(part);
  filter();
  metrics(part);
}

// One metric's table at a time.
function metrics(part) {
  const box = part.querySelector(".chosen");
  const [select, tables] = [box.querySelector("select"), [...box.querySelectorAll(".metric")]];
  if (tables.length < 2) return;
  const update = () => tables.forEach((one, i) => (one.hidden = i !== Number(select.value)));
  box.querySelector("label").hidden = false;
  select.addEventListener("change", update);
  update();
}

// Controls: one method's chart and slider at a time.
function choose(part) {
  const boxes = [...part.querySelectorAll(".control")];
  const chooser = part.querySelector("[data-choose=control]");
  if (!boxes.length) return;
  const select = make("select", {});
  for (const name of new Set(boxes.map((box) => box.dataset.controlMethod))) select.append(make("option", {}, name));
  chooser.append(make("label", {}, "Method ", select));
  chooser.hidden = select.options.length < 2;
  function update() {
    for (const box of boxes) if (box.dataset.controlMethod !== select.value) box.hidden = true;
    const domain = part.querySelector(".domains input:checked")?.value ?? "";
    for (const box of boxes)
      if (box.dataset.controlMethod === select.value) box.hidden = domain !== "" && box.dataset.domain !== domain;
  }
  select.addEventListener("change", update);
  part.addEventListener("filtered", update);
}

// Images: one seed's grids at a time; a domain without that seed shows its first.
function seeds(part) {
  const grids = [...part.querySelectorAll(".grid")];
  const numbers = [...new Set(grids.map((grid) => grid.dataset.seed))].sort((a, b) => a - b);
  if (numbers.length < 2) return;
  const chooser = part.querySelector("[data-choose=seed]");
  const select = make("select", {}, ...numbers.map((number) => make("option", {}, number)));
  chooser.append(make("label", {}, "Seed ", select));
  chooser.hidden = false;
  function update() {
    const domain = part.querySelector(".domains input:checked")?.value ?? "";
    for (const grid of grids) {
      const same = grids.filter((other) => other.dataset.domain === grid.dataset.domain);
      const shown = same.find((other) => other.dataset.seed === select.value) ?? same[0];
      grid.hidden = grid !== shown || (domain !== "" && grid.dataset.domain !== domain);
    }
  }
  select.addEventListener("change", update);
  part.addEventListener("filtered", update);
  update();
}

// Links to records open what they lie in.
function reveal() {
  const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let one = target && target.parentElement; one; one = one.parentElement) if (one.tagName === "DETAILS") one.open = true;
  if (target) target.scrollIntoView();
}
addEventListener("hashchange", reveal);
if (location.hash) reveal();

// Pictures: the strips lie in the page as images of several squares; a tile shows one square of one strip.
function show(tile, id, z, alt) {
  const strip = document.getElementById(id);
  const count = Math.round(strip.getAttribute("width") / strip.getAttribute("height"));
  tile.src = strip.src;
  tile.alt = alt;
  tile.style.objectPosition = `${count > 1 ? (100 * Math.min(z, count - 1)) / (count - 1) : 0}% 0`;
}
const tile = () => make("img", { className: "tile", decoding: "sync" });

// All rows of a grid side by side at one latent.
document.querySelectorAll(".side").forEach((box, number) => {
  const strips = [...box.parentElement.querySelectorAll(":scope > .strip")].filter((row) => row.querySelector("img[id]"));
  const count = Number(box.dataset.count);
  if (strips.length < 2 || !count) return;
  const figures = strips.map((row) => {
    const image = tile();
    const figure = make("figure", {}, image, make("figcaption", {}, row.querySelector(".name").textContent));
    if (row.dataset.method) figure.dataset.method = row.dataset.method;
    return { image, id: row.querySelector("img").id, name: row.querySelector(".name").textContent, figure, row };
  });
  const range = make("input", { type: "range", id: `side${number}`, min: 0, max: count - 1, step: 1, value: 0 });
  const value = make("output", { htmlFor: range.id });
  function update() {
    value.textContent = `z${range.value}`;
    range.setAttribute("aria-valuetext", value.textContent);
    for (const { image, id, name } of figures) show(image, id, Number(range.value), `${name}: image of z${range.value}`);
  }
  range.addEventListener("input", update);
  const hide = () => figures.forEach(({ figure, row }) => (figure.hidden = row.hidden));
  box.closest(".part").addEventListener("filtered", hide);
  box.append(make("label", { htmlFor: range.id }, "Side by side, latent "), value, range);
  box.append(make("div", { className: "tiles" }, ...figures.map((one) => one.figure)));
  box.hidden = false;
  update();
  hide();
});

// Sliders: the control's value moves the images and the marker on the curve.
document.querySelectorAll(".player").forEach((box, number) => {
  const known = JSON.parse(box.dataset.frames);
  const { method, domain, control, seed, source: original, real, frames, count } = known;
  const [source, adapted, target] = [tile(), tile(), tile()];
  const [name, said] = [make("figcaption"), make("dl", { className: "said" })];
  const before = make("figure", {}, source, make("figcaption", {}, "source"));
  const after = make("figure", {}, target, make("figcaption", {}, "real images"));
  const range = make("input", { type: "range", id: `control${number}`, min: 0, step: 1 });
  const value = make("output", { htmlFor: range.id });
  const chart = box.parentElement.querySelector(".curve svg");
  const marker = chart?.querySelector(".now");
  const latents = [...Array(count).keys()].map((z) => {
    const image = tile();
    const input = make("input", { type: "radio", name: `z${number}`, value: z, checked: z === 0 });
    return { image, input, label: make("label", {}, input, image, `z${z}`) };
  });

  function update() {
    const frame = frames[range.value];
    const z = latents.findIndex((latent) => latent.input.checked);
    const what = `${method} at ${control} ${frame.value} on ${domain}, seed ${seed}`;
    show(adapted, frame.id, z, `${what}: image of z${z}`);
    if (original) show(source, original, z, `The source, seed ${seed}: image of z${z}`);
    if (real) show(target, real, z, `Real images of ${domain}`);
    name.textContent = `${control} ${frame.value}`;
    value.textContent = frame.value + (frame.standard ? " (default)" : "");
    range.setAttribute("aria-valuetext", `${control} ${value.textContent}`);
    said.replaceChildren(
      ...frame.said.map(([metric, number]) => make("div", {}, make("dt", {}, metric), make("dd", {}, number))),
    );
    latents.forEach(({ image }, i) => show(image, frame.id, i, `z${i}: ${what}`));
    if (marker && frame.x !== undefined) {
      const ys = marker.getAttribute("points").split(" ").map((point) => point.split(",")[1]);
      marker.setAttribute("points", ys.map((y) => `${frame.x},${y}`).join(" "));
    }
  }

  const trio = make("div", { className: "pair" }, before, make("figure", {}, adapted, name), after);
  const label = make("label", { htmlFor: range.id }, control);
  const slider = make("div", { className: "slider" }, label, " ", value, range);
  const row = make("fieldset", { className: "latents" }, make("legend", {}, "latent"), ...latents.map((l) => l.label));
  if (chart && frames.every((frame) => frame.x !== undefined)) {
    // The thumb of a slider stops half its width from either end: 8 px where browsers draw it.
    const width = chart.viewBox.baseVal.width;
    const [first, last] = [frames[0].x, frames[frames.length - 1].x];
    slider.style.setProperty("--from", `${(100 * first) / width}%`);
    slider.style.setProperty("--span", `${(100 * (last - first)) / width}%`);
    box.parentElement.querySelector(".curve").append(slider);
  } else box.append(slider);
  box.append(trio, said, row);
  range.addEventListener("input", update);
  row.addEventListener("change", update);
  before.hidden = !original;
  after.hidden = !real;
  range.max = frames.length - 1;
  range.value = Math.max(0, frames.findIndex((frame) => frame.standard));
  update();
  box.hidden = false;
});
