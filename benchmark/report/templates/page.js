"use strict";

// Tables: a press on a column's name sorts by it, the next one turns the order round, the third restores the first order.
// The untouched source has a body of its own and stays on top; cells without a number go last either way.
const words = new Intl.Collator("en", { numeric: true });
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[table.tBodies.length - 1];
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

// Players: the strips lie in the page as images of several squares; a tile shows one square of one strip.
function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function show(tile, id, z, alt) {
  const strip = document.getElementById(id);
  const count = Math.round(strip.getAttribute("width") / strip.getAttribute("height"));
  tile.src = strip.src;
  tile.alt = alt;
  tile.style.objectPosition = `${count > 1 ? (100 * z) / (count - 1) : 0}% 0`;
}

document.querySelectorAll(".player").forEach((box, number) => {
  const { method, domain, control, seed, source: original, frames, count } = JSON.parse(box.dataset.frames);
  const tile = () => make("img", { className: "tile", decoding: "sync" });
  const [source, adapted] = [tile(), tile()];
  const [name, said] = [make("figcaption"), make("dl", { className: "said" })];
  const before = make("figure", {}, source, make("figcaption", {}, "source"));
  const range = make("input", { type: "range", id: `control${number}`, min: 0, step: 1 });
  const value = make("output", { htmlFor: range.id });
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
    name.textContent = `${control} ${frame.value}`;
    value.textContent = frame.value + (frame.standard ? " (default)" : "");
    range.setAttribute("aria-valuetext", `${control} ${value.textContent}`);
    said.replaceChildren(
      ...frame.said.map(([metric, number]) => make("div", {}, make("dt", {}, metric), make("dd", {}, number))),
    );
    latents.forEach(({ image }, i) => show(image, frame.id, i, `z${i}: ${what}`));
  }

  const pair = make("div", { className: "pair" }, before, make("figure", {}, adapted, name));
  const label = make("label", { htmlFor: range.id }, control);
  const slider = make("div", { className: "slider" }, label, " ", value, range);
  const row = make("fieldset", { className: "latents" }, make("legend", {}, "latent"), ...latents.map((l) => l.label));
  box.append(make("div", { className: "stage" }, pair, make("div", {}, slider, said, row)));
  range.addEventListener("input", update);
  row.addEventListener("change", update);
  before.hidden = !original;
  range.max = frames.length - 1;
  range.value = Math.max(0, frames.findIndex((frame) => frame.standard));
  update();
  box.hidden = false;
});
