// A quarter of the seeds; in files of their own, so that they run side by side.

import { test } from "vitest";
import { expectAllSafe } from "./expect-safe.ts";

test("[OWN1] [OWN2] [OWN4] [OWN5] [OWN6] [REC1] [REC2] [COM1] seeds 501 to 1000: whatever fails and whenever, every invariant holds", async () => {
  await expectAllSafe(501, 500);
});
