// What the estimate of Claude's tokens is fitted to, and what it is tried on.

import assert from "node:assert/strict";
import { test } from "node:test";
import { classes, inBoth } from "../../benches/tokens/sources.mjs";

test("nothing that the fit saw is tried", () => {
  assert.deepEqual(inBoth(classes()), []);
});

test("each class has both", () => {
  for (const { name, fit, held } of classes()) assert.ok(fit.length && held.length, name);
});

test("no source is a whole package, which has documents of more than one kind", () => {
  const whole = (/** @type {string} */ source) => !source.includes("/*") && !source.replace(/:@[^/]+\//, ":").includes("/");
  assert.deepEqual([whole("npm:a"), whole("npm:@a/b"), whole("npm:@a/b/c"), whole("npm:@a/*.json")], [true, true, false, false]);
  assert.deepEqual(classes().flatMap(({ fit, held }) => [...fit, ...held]).filter(whole), []);
});

test("a folder and what lies in it are the same source, of whatever class", () => {
  const of = (/** @type {string} */ fit, /** @type {string} */ held) => inBoth([{ fit: [fit], held: ["npm:z"] }, { fit: ["npm:y"], held: [held] }]);
  for (const [fit, held, same] of /** @type {[string, string, boolean][]} */ ([
    ["npm:a/b.json", "npm:a/b.json", true],
    ["npm:a/*.md", "npm:a/b.json", true],
    ["npm:a/b.json", "npm:a", true],
    ["npm:a/*.md", "npm:a/*.ts", true],
    ["npm:a/b.json", "npm:a/c.json", false],
    ["npm:a", "npm:ab", false],
    ["npm:a", "workspace:a/b.json", true],
    ["npm:a", "cargo:a", false],
  ])) {
    assert.deepEqual(of(fit, held), same ? [fit] : [], `${fit} ${held}`);
  }
});
