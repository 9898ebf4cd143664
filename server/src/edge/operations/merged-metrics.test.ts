import { expect, it } from "vitest";
import { mergeMetricTexts } from "./merged-metrics.ts";

it("puts all lines of a metric below one head, and metrics in the order in which they first come", () => {
  const one =
    '# HELP a Of a.\n# TYPE a counter\na{process="1"} 1\na{process="1",b="2"} 2\n\n# HELP c Of c.\n# TYPE c gauge\nc{process="1"} 3\n';
  const two =
    '# HELP a Of a.\n# TYPE a counter\na{process="2"} 4\n\n# HELP d Of d.\n# TYPE d gauge\n\n# HELP c Of c.\n# TYPE c gauge\nc{process="2"} 5\n';
  expect(mergeMetricTexts([one, two])).toBe(
    '# HELP a Of a.\n# TYPE a counter\na{process="1"} 1\na{process="1",b="2"} 2\na{process="2"} 4\n\n' +
      '# HELP c Of c.\n# TYPE c gauge\nc{process="1"} 3\nc{process="2"} 5\n\n# HELP d Of d.\n# TYPE d gauge\n',
  );
});

it("leaves one alone as it is", () => {
  const text = "# HELP a Of a.\n# TYPE a counter\na 1\n";
  expect(mergeMetricTexts([text])).toBe(text);
});
