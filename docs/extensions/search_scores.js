// Sphinx inlines this file after its searchtools.js. Its own search finds pages, and a section only where the query is
// half of a heading. Pages are long here, so headings that have the words of the query are found as well.

const PAGE_SCORES = { log: -12, "site/changelog": -12, glossary: -6, reliability: -4, architecture: -4, scale: -8, prepare: 1 };
const QUESTIONS = { [SearchResultKind.title]: 6, [SearchResultKind.text]: -6 }; // a question rather than all of them
const REFERENCE = { [SearchResultKind.text]: -3 }; // these pages hold every word; their entries are found by name

Scorer.score = ([docname, , , , score, , kind]) => {
  if (docname === "questions") return score + (QUESTIONS[kind] ?? 0);
  if (/^site\/(api\/|commands)/.test(docname)) return score + (REFERENCE[kind] ?? 0);
  return score + (PAGE_SCORES[docname] ?? 0);
};

const FILLERS = new Set(["can", "get", "may", "need", "use", "work"]);

/** Headings with so many of the words; the more of them, and the fewer others, the better. */
function searchHeadings(words, least) {
  const { alltitles, titles, docnames, filenames } = Search._index;
  const stemmer = new Stemmer();
  const stemsOf = (text) =>
    splitQuery(text.toLowerCase())
      .filter((word) => !stopwords.has(word))
      .flatMap((word) => [word, word.replace(/is(?=e$|ed$|ing$|ation$)/, "iz")]) // normalised, normalized
      .map((word) => stemmer.stemWord(word))
      .filter((word) => !FILLERS.has(word));
  return Object.entries(alltitles).flatMap(([heading, places]) => {
    const stems = new Set(stemsOf(heading));
    const found = [...words].filter((word) => stems.has(word)).length;
    if (found < least) return [];
    const score = 1 + Math.round(Scorer.title * (found / words.size + (0.5 * found) / stems.size));
    return places.map(([file, id]) => [
      docnames[file],
      titles[file] === heading ? heading : `${titles[file]} > ${heading}`,
      id === null ? "" : `#${id}`,
      null,
      score,
      filenames[file],
      SearchResultKind.title,
    ]);
  });
}

const searchPages = Search.performTermsSearch;
Search.performTermsSearch = (terms, excluded) => {
  let pages = searchPages(terms, excluded); // with all terms
  if (!pages.length) pages = [...terms].flatMap((term) => searchPages(new Set([term]), excluded));
  const words = new Set([...terms].filter((word) => !FILLERS.has(word)));
  return [...pages, ...searchHeadings(words, Math.max(1, words.size / 2))];
};
