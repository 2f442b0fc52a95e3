// The map: cells, arrows and a ring around one cell, drawn by Bokeh.

/** A colour of the map, which is light on a dark page too, as pictures are. */
const styleOf = (name) => getComputedStyle(document.getElementById("explore-map")).getPropertyValue(name).trim();

/** Whether a cell is ahead of another in a direction, and how far: the smaller, the better. */
function distanceAhead(from, to, [x, y], scale) {
  const aside = [(to[0] - from[0]) / scale[0], (to[1] - from[1]) / scale[1]];
  const along = aside[0] * x + aside[1] * y;
  const across = Math.abs(aside[0] * y) + Math.abs(aside[1] * x);
  return along > 0 && across <= along ? along + 2 * across : Infinity;
}

class CellMap {
  static async drawn(data, bokehDocument, place) {
    const views = await Bokeh.embed.embed_item(bokehDocument, place);
    return new CellMap(data, views.roots[0].model.document);
  }

  constructor(data, bokehDocument) {
    this.data = data;
    this.named = (name) => bokehDocument.get_model_by_name(name);
    this.plot = this.named("map");
    this.cells = this.named("cells");
    this.shown = this.named("shown");
    const { x_range: x, y_range: y } = this.plot;
    this.whole = [x.start, x.end, y.start, y.end];
    this.isShown = new Array(data.size).fill(true);
    const places = data.cells.places;
    const every = (offset) => Array.from({ length: data.size }, (_, cell) => places[2 * cell + offset]);
    this.shown.booleans = this.isShown;
    this.cells.data = {
      x: every(0), y: every(1), color: new Array(data.size).fill(styleOf("--quiet")),
      name: data.cells.names, told: new Array(data.size).fill(""),
    };
    const colors = { mean: "--ink", true: "--true", predicted: "--model" };
    for (const [name, color] of Object.entries(colors)) {
      this.named(`${name} line`).line_color = styleOf(color);
      this.named(`${name} head`).fill_color = styleOf(color);
    }
    this.named("ring").line_color = styleOf("--ink");
  }

  placeOf(cell) {
    return [this.data.cells.places[2 * cell], this.data.cells.places[2 * cell + 1]];
  }

  /** Give each cell a colour and a text that the pointer shows. */
  color(colors, told) {
    this.cells.data = { ...this.cells.data, color: colors, told };
  }

  /** Show the cells for which it is true. */
  show(isShown) {
    this.isShown = isShown;
    this.shown.booleans = isShown;
  }

  #setArrows(name, rows) {
    const column = (place) => rows.map((row) => row[place]);
    this.named(`${name} arrows`).data = { x: column(0), y: column(1), to_x: column(2), to_y: column(3) };
  }

  /** Mean arrows, four numbers each. */
  setMeanArrows(ends) {
    const rows = Array.from({ length: ends.length / 4 }, (_, i) => [...ends.slice(4 * i, 4 * i + 4)]);
    this.#setArrows("mean", rows);
  }

  /** Ring a cell and draw where it goes; null for none. */
  ring(cell) {
    const rows = { true: [], predicted: [] };
    if (cell === null) {
      this.named("ringed").data = { x: [], y: [] };
    } else {
      const [x, y] = this.placeOf(cell);
      this.named("ringed").data = { x: [x], y: [y] };
      const ends = this.data.cells.ends.slice(4 * cell, 4 * cell + 4);
      if (Number.isFinite(ends[0])) {
        rows.true = [[x, y, ends[0], ends[1]]];
        rows.predicted = [[x, y, ends[2], ends[3]]];
      }
    }
    for (const [name, some] of Object.entries(rows)) this.#setArrows(name, some);
  }

  /** The nearest visible cell in a direction; the same cell where there is none. */
  neighbor(cell, direction) {
    const scale = [this.whole[1] - this.whole[0], this.whole[3] - this.whole[2]];
    const from = this.placeOf(cell);
    let best = cell, least = Infinity;
    for (let other = 0; other < this.data.size; other++) {
      if (!this.isShown[other]) continue;
      const distance = distanceAhead(from, this.placeOf(other), direction, scale);
      if (distance < least) [best, least] = [other, distance];
    }
    return best;
  }

  /** The visible cell nearest to the middle of what is seen; null where all are hidden. */
  middle() {
    const { x_range: x, y_range: y } = this.plot;
    const middle = [(x.start + x.end) / 2, (y.start + y.end) / 2];
    let best = null, least = Infinity;
    for (let cell = 0; cell < this.data.size; cell++) {
      if (!this.isShown[cell]) continue;
      const [a, b] = this.placeOf(cell);
      const distance = ((a - middle[0]) / (x.end - x.start)) ** 2 + ((b - middle[1]) / (y.end - y.start)) ** 2;
      if (distance < least) [best, least] = [cell, distance];
    }
    return best;
  }

  /** Zoom about the middle, or about a cell; a factor below 1 zooms in. */
  zoom(factor, cell = null) {
    const { x_range: x, y_range: y } = this.plot;
    const about = cell === null ? [(x.start + x.end) / 2, (y.start + y.end) / 2] : this.placeOf(cell);
    const half = [((x.end - x.start) / 2) * factor, ((y.end - y.start) / 2) * factor];
    this.#look(about[0] - half[0], about[0] + half[0], about[1] - half[1], about[1] + half[1]);
  }

  showWhole() {
    this.#look(...this.whole);
  }

  #look(left, right, bottom, top) {
    this.plot.x_range.setv({ start: left, end: right });
    this.plot.y_range.setv({ start: bottom, end: top });
  }
}
