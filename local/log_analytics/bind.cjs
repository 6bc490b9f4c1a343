// Binds KQL to declared tables with Microsoft's own language service.
// Standard input: {"tables": {name: {column: type}}, "queries": {name: text}}.
// Standard output: {"queries": {name: {"diagnostics": [text, …], "columns": {name: type}}}}.
"use strict";

const fs = require("node:fs");

// The library was made for browsers: it looks for its parts in the window.
globalThis.window = globalThis;
require("@kusto/language-service-next/bridge.min.js");
require("@kusto/language-service-next/Kusto.Language.Bridge.min.js");

const { GlobalState, KustoCode, Symbols } = globalThis.Kusto.Language;

function declared(tables) {
  const symbols = Object.entries(tables).map(([name, columns]) => {
    const text = Object.entries(columns).map(([column, type]) => `['${column}']: ${type}`);
    return Symbols.TableSymbol.From(`(${text.join(", ")})`).WithName(name);
  });
  return GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.ctor("workspace", symbols));
}

function listed(collection, each) {
  return Array.from({ length: collection.Count }, (_, index) => each(collection.getItem(index)));
}

function bound(text, globals) {
  const code = KustoCode.ParseAndAnalyze(text, globals);
  const diagnostics = listed(code.GetDiagnostics(), (found) => {
    const before = text.slice(0, found.Start).split("\n");
    const where = `${before.length}:${before.at(-1).length + 1}`;
    return `${where} ${found.Severity} ${found.Code}: ${found.Message}`;
  });
  const columns = code.ResultType?.Columns
    ? listed(code.ResultType.Columns, (column) => [column.Name, column.Type.Name])
    : [];
  return { diagnostics, columns: Object.fromEntries(columns) };
}

const asked = JSON.parse(fs.readFileSync(0, "utf8"));
const globals = declared(asked.tables);
const answers = Object.entries(asked.queries).map(([name, text]) => [name, bound(text, globals)]);
process.stdout.write(JSON.stringify({ queries: Object.fromEntries(answers) }));
