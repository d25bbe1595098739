import fc from "fast-check";
import { expect, test } from "vitest";
import { closeReason } from "../../src/gateway/close-reason.ts";
import { closing, readClosing } from "../../src/gateway/link-frames.ts";

test("[GATE7] whatever a room gives as the reason of a close fits into its frame, by bytes, also across a link", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 400 }), (reason) => {
      const short = closeReason(reason);
      expect(Buffer.byteLength(short)).toBeLessThanOrEqual(123);
      expect(reason.startsWith(short)).toBe(true);
      const across = readClosing(closing(4002, reason));
      expect(Buffer.byteLength(closeReason(across.reason))).toBeLessThanOrEqual(123);
    }),
  );
  expect(closeReason("this room has ended")).toBe("this room has ended");
  expect(closeReason("\u20ac".repeat(100))).toBe("\u20ac".repeat(41));
});
