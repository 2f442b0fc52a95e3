// node search_site.js SITE < queries.json: the first three hits of the site's own search for each query, as the browser ranks.

const fs = require("fs");
const path = require("path");
const vm = require("vm");

const site = process.argv[2];
const page = {
  document: { readyState: "loading", addEventListener() {}, getElementById: () => null },
  localStorage: { setItem() {} },
  console,
};
page.window = page;
vm.createContext(page);
const scripts = ["doctools", "sphinx_highlight", "searchtools", "base-stemmer", "english-stemmer", "language_data"];
const files = scripts.map((name) => path.join(site, "_static", `${name}.js`));
for (const file of [...files, path.join(site, "searchindex.js")]) {
  if (fs.existsSync(file)) vm.runInContext(fs.readFileSync(file, "utf-8"), page, { filename: file });
}
page.queries = JSON.parse(fs.readFileSync(0, "utf-8"));
const hits = vm.runInContext(
  "queries.map((query) => Search._performSearch(...Search._parseQuery(query)).reverse())",
  page,
);
console.log(JSON.stringify(hits.map((found) => found.slice(0, 3))));
