import { expect, it } from "vitest";
import {
  invalidField,
  invalidFields,
  invalidRequest,
  invalidValues,
  violationLimit,
} from "./invalid-request.ts";

const title = { field: "body.title", description: "must not be empty" };
const keys = { field: "keys", description: "must be of array" };

it.each([
  ["a request", invalidRequest("body is missing"), "body is missing", []],
  ["a field", invalidField("body.title", "must not be empty"), "body.title: must not be empty", [title]],
  ["fields, by the first", invalidFields([keys, title]), "keys: must be of array", [keys, title]],
  [
    "a whole message",
    invalidFields([{ field: "", description: "must be one" }]),
    "must be one",
    [{ field: "", description: "must be one" }],
  ],
  [
    "a rule with its own words",
    invalidFields([title], () => "a title is needed"),
    "a title is needed",
    [title],
  ],
  ["values", invalidValues([keys, title]), "Value for keys must be of array", [keys, title]],
  ["nothing in particular", invalidFields([]), "invalid request", []],
])("names %s", (_, { reason, message, violations }, expected, fields) => {
  expect([reason, message, violations]).toEqual(["INVALID_REQUEST", expected, fields]);
});

it("names fifty fields at most", () => {
  const many = (count: number) => Array<typeof title>(count).fill(title);
  expect(violationLimit).toBe(50);
  expect(invalidFields(many(50)).violations).toHaveLength(50);
  expect(invalidFields(many(51)).violations).toHaveLength(50);
  expect(invalidValues(many(51)).violations).toHaveLength(50);
});
