// What a person asks for, by pointer or keyboard, and what the page answers.

const byId = (id) => document.getElementById(id);

function element(tag, text, more = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  return Object.assign(made, more);
}

class Panel {
  constructor(data, map) {
    this.data = data;
    this.map = map;
    this.chosen = null;
    this.gene = null;
    this.#fill();
    this.#listen();
    this.#recolor();
    this.#redrawArrows();
  }

  #fill() {
    const { data } = this;
    const option = (text, value) => element("option", text, { value });
    const colors = data.clusters ? [option("cluster", "clusters")] : [];
    data.numbers.forEach((one, i) => colors.push(option(one.name, String(i))));
    byId("explore-color").append(...colors, option("gene", "gene"));
    byId("explore-arrows").append(
      ...data.arrows.map((one, i) => option(one.name, String(i))), option("none", "none"),
    );
    const { names, ids } = data.genes;
    const named = names.map((name, i) => option(ids[i] === name ? "" : ids[i], name));
    byId("explore-genes").append(...named);
    byId("explore-clusters").hidden = !data.clusters;
    this.boxes = (data.clusters?.names ?? []).map((name, i) => {
      const box = element("input", "", { type: "checkbox", checked: true });
      const swatch = element("i", "");
      swatch.style.background = data.clusters.colors[i];
      const label = element("label", "");
      const size = data.clusters.of.reduce((sum, code) => sum + (code === i), 0);
      label.append(box, swatch, `${name} (${size.toLocaleString("en")})`);
      const item = element("li", "");
      item.append(label);
      byId("explore-clusters").querySelector("ul").append(item);
      return box;
    });
  }

  #listen() {
    const on = (id, event, answer) => byId(id).addEventListener(event, answer);
    on("explore-color", "change", () => this.#recolor());
    on("explore-state", "change", () => this.#recolor());
    on("explore-arrows", "change", () => this.#redrawArrows());
    on("explore-gene", "change", () => this.#searchGene());
    on("explore-gene", "input", (event) => {
      // a choice in the list is no change before the focus leaves, in some browsers
      if (genesNamed(this.data, event.target.value.trim()).length === 1) this.#searchGene();
    });
    on("explore-cell", "change", () => this.#searchCell());
    for (const id of ["explore-gene", "explore-cell"]) {
      on(id, "keydown", (event) => event.key === "Enter" && byId(id).dispatchEvent(new Event("change")));
    }
    on("explore-in", "click", () => this.map.zoom(0.7));
    on("explore-out", "click", () => this.map.zoom(1 / 0.7));
    on("explore-whole", "click", () => this.map.showWhole());
    on("explore-all", "click", () => this.#checkAll(true));
    on("explore-none", "click", () => this.#checkAll(false));
    on("explore-clusters", "change", () => this.#toggle());
    on("explore-map", "keydown", (event) => this.#key(event));
    const { cells } = this.map;
    cells.inspect.connect(() => this.#point(cells.inspected.indices));
    cells.selected.change.connect(() => this.#choose(cells.selected.indices[0] ?? null));
  }

  #tell(text) {
    byId("explore-told").textContent = text;
  }

  #recolor() {
    const { data, map } = this;
    const by = byId("explore-color").value;
    byId("explore-state").disabled = by !== "gene";
    byId("explore-scale").hidden = by === "clusters" || (by === "gene" && this.gene === null);
    if (by === "clusters") {
      const { names, colors, of } = data.clusters;
      map.color(Array.from(of, (code) => colors[code]), Array.from(of, (code) => names[code]));
    } else if (by === "gene" && this.gene === null) {
      this.#tell("Name a gene to colour the cells by.");
    } else {
      this.#colorByNumber(by === "gene" ? this.#geneNumbers() : data.numbers[Number(by)]);
    }
    this.#describe(this.chosen);
  }

  #geneNumbers() {
    const state = byId("explore-state").value;
    const of = ranksOf(this.data, this.gene, state);
    const most = of.reduce((best, value) => Math.max(best, Math.abs(value) || 0), 0);
    const what = { now: "rank", expected: "predicted rank", change: "predicted change" }[state];
    return {
      name: `${this.data.genes.names[this.gene]}, ${what}`, of, labels: [], is_share: false,
      low: state === "change" ? -most : 0, high: state === "change" ? most : 1,
    };
  }

  #colorByNumber(one) {
    const { palette } = this.data;
    const span = one.high - one.low || 1;
    const unknown = styleOf("--line");
    const color = (value) =>
      Number.isFinite(value) ? palette[Math.round((255 * (value - one.low)) / span)] : unknown;
    const told = Array.from(one.of, (value) => `${one.name} ${numberText(one, value)}`);
    this.map.color(Array.from(one.of, color), told);
    const [low, bar, high, name] = byId("explore-scale").children;
    name.textContent = one.name;
    bar.style.background = `linear-gradient(to right, ${palette.filter((_, i) => i % 15 === 0).join(", ")})`;
    low.textContent = numberText(one, one.low);
    high.textContent = numberText(one, one.high);
  }

  #searchGene() {
    const text = byId("explore-gene").value.trim();
    if (!text) return;
    const { names, ids } = this.data.genes;
    const found = genesNamed(this.data, text);
    if (found.length !== 1) {
      const which = found.map((gene) => ids[gene]).join(", ");
      this.#tell(
        found.length
          ? `${text} stands for ${found.length} genes; give the id of one: ${which}.`
          : `${text} is not among the ${names.length.toLocaleString("en")} genes that can be searched.`,
      );
      return;
    }
    [this.gene] = found;
    byId("explore-color").value = "gene";
    this.#recolor();
    const number = ranksOf(this.data, this.gene, "now").filter((value) => value > 0).length;
    const id = ids[this.gene] === names[this.gene] ? "" : ` (${ids[this.gene]})`;
    this.#tell(
      `${names[this.gene]}${id}: ${number.toLocaleString("en")} of ${this.data.size.toLocaleString("en")} cells ` +
        `have it among their first ${this.data.genes.ranks.toLocaleString("en")} genes. 1 is the first rank.`,
    );
  }

  #searchCell() {
    const text = byId("explore-cell").value.trim();
    if (!text) return;
    const cell = this.data.cells.names.indexOf(text);
    if (cell < 0) this.#tell(`No cell of the map is called ${text}.`);
    else this.#select(cell);
  }

  #redrawArrows() {
    const value = byId("explore-arrows").value;
    this.map.setMeanArrows(value === "none" ? new Float32Array() : this.data.arrows[Number(value)].of);
  }

  #checkAll(isChecked) {
    for (const box of this.boxes) box.checked = isChecked;
    this.#toggle();
  }

  #toggle() {
    const isShown = Array.from(this.data.clusters.of, (code) => this.boxes[code].checked);
    this.map.show(isShown);
    const number = isShown.filter(Boolean).length;
    this.#tell(`${number.toLocaleString("en")} of ${this.data.size.toLocaleString("en")} cells are shown.`);
    if (this.chosen !== null && !isShown[this.chosen]) this.#select(null);
  }

  /** Show the cell under the pointer; without one, that which was chosen. */
  #point(indices) {
    const cell = indices[0] ?? this.chosen;
    this.map.ring(cell);
    this.#describe(cell);
  }

  /** Choose a cell by another way than a click on it. */
  #select(cell) {
    this.map.cells.selected.indices = cell === null ? [] : [cell];
    this.#choose(cell);
  }

  #choose(cell) {
    this.chosen = cell;
    this.map.ring(cell);
    this.#describe(cell);
    if (cell === null) return;
    const [[name, text] = ["", ""]] = factsOf(this.data, cell);
    this.#tell(`${this.data.cells.names[cell]}: ${name} ${text}`);
  }

  #describe(cell) {
    const place = byId("explore-facts");
    place.hidden = cell === null;
    if (cell === null) return;
    place.querySelector("h3").textContent = this.data.cells.names[cell];
    const rows = factsOf(this.data, cell);
    if (this.gene !== null) {
      const ranks = ["now", "expected"].map((state) => ranksOf(this.data, this.gene, state)[cell]);
      rows.push([this.data.genes.names[this.gene], ranks.map(shortly).join(" \u2192 ")]);
    }
    place
      .querySelector("dl")
      .replaceChildren(...rows.flatMap(([name, text]) => [element("dt", name), element("dd", text)]));
  }

  #key(event) {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key in ways) {
      this.#select(this.chosen === null ? this.map.middle() : this.map.neighbor(this.chosen, ways[event.key]));
    } else if (event.key === "+" || event.key === "=") this.map.zoom(0.7, this.chosen);
    else if (event.key === "-") this.map.zoom(1 / 0.7, this.chosen);
    else if (event.key === "0") this.map.showWhole();
    else if (event.key === "Escape") this.#select(null);
    else return;
    event.preventDefault();
  }
}

async function explore() {
  const read = (id) => JSON.parse(byId(id).textContent);
  const data = await unpacked(read("explore-values"));
  byId("explorer").hidden = false;
  const map = await CellMap.drawn(data, read("explore-document"), byId("explore-map"));
  new Panel(data, map);
  byId("explore-instead").remove();
}

explore();
