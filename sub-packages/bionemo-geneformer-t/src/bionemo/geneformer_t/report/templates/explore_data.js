"use strict";
// The values of the page, and what they say of a cell.

const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const arrayOf = (text, Kind) => new Kind(bytesOf(text).buffer);

/** What gzip has compressed. */
async function decompressed(text) {
  const stream = new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Values as `page_values.py` packs them, as typed arrays. */
async function unpacked(values) {
  const { cells, clusters, numbers, genes, changes } = values;
  return {
    ...values,
    size: cells.names.length,
    cells: { names: cells.names, places: arrayOf(cells.places, Float32Array), ends: arrayOf(cells.ends, Float32Array) },
    clusters: clusters && { ...clusters, of: arrayOf(clusters.of, Uint16Array) },
    numbers: numbers.map((one) => ({ ...one, of: arrayOf(one.of, Float32Array) })),
    genes: {
      ...genes, values: await decompressed(genes.values), current: arrayOf(genes.current, Int32Array),
    },
    changes: {
      ...changes, which: arrayOf(changes.which, changes.is_wide ? Uint32Array : Uint16Array),
      by: arrayOf(changes.by, Int8Array),
    },
    arrows: values.arrows.map((one) => ({ ...one, of: arrayOf(one.of, Float32Array) })),
  };
}

/** The normalised rank of a gene in each cell: now, as expected in the next cell, or the change. */
function ranksOf(data, gene, state) {
  const { values, current, names } = data.genes;
  const width = values.length / names.length; // ranks in all cells, then in the predicted ones
  const ranks = values.subarray(gene * width, (gene + 1) * width);
  return Float32Array.from({ length: data.size }, (_, cell) => {
    const before = ranks[cell] / 100;
    if (state === "now") return before;
    if (current[cell] < 0) return NaN;
    const after = ranks[data.size + current[cell]] / 100;
    return state === "expected" ? after : after - before;
  });
}

/** Genes with this id or symbol; of capitals only where none is written so. */
function genesNamed(data, text) {
  const { names, ids } = data.genes;
  const written = names.flatMap((name, i) => (name === text || ids[i] === text ? [i] : []));
  if (written.length) return written;
  const plain = text.toLowerCase();
  return names.flatMap((name, i) => (name.toLowerCase() === plain || ids[i].toLowerCase() === plain ? [i] : []));
}

const shortly = (value) => (Number.isFinite(value) ? String(Number(value.toPrecision(3))) : "not known");
const signed = (value) => (value > 0 ? "+" : value < 0 ? "\u2212" : "") + Math.abs(value).toFixed(2);

function numberText(one, value) {
  if (!Number.isFinite(value)) return "not known";
  if (one.is_share) return `${(100 * value).toFixed(1)} %`;
  const label = one.labels.find(([time]) => time === value);
  return label ? label[1] : shortly(value);
}

/** Everything that is known of a cell, as pairs of a name and a text. */
function factsOf(data, cell) {
  const facts = [];
  if (data.clusters) facts.push(["cluster", data.clusters.names[data.clusters.of[cell]]]);
  for (const one of data.numbers) facts.push([one.name, numberText(one, one.of[cell])]);
  const row = data.genes.current[cell];
  if (row < 0) return [...facts, ["prediction", "none: no successor is known"]];
  const { names, each, which, by } = data.changes;
  const change = (place) => `${names[which[row * each + place]]} ${signed(by[row * each + place] / 100)}`;
  const places = Array.from({ length: each }, (_, place) => place);
  facts.push(["predicted to rise", places.slice(0, each / 2).map(change).join("\n")]);
  facts.push(["predicted to fall", places.slice(each / 2).map(change).join("\n")]);
  return facts;
}
