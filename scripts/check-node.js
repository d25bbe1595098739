// Whether this Node can run Ringside, for scripts that any Node must be able to read: no syntax newer than ES2015.
// Answers undefined, or one line that says what to do.

export function nodeTooOld() {
  var parts = process.versions.node.split(".").map(Number);
  if (parts[0] > 22 || (parts[0] === 22 && parts[1] >= 18)) return undefined;
  return (
    "Node 22.18 or newer is needed, and this is " +
    process.versions.node +
    (process.platform === "linux" && (process.arch === "x64" || process.arch === "arm64")
      ? ": run `npm install` (not with --omit=optional) and start it with npm, which then uses the Node 24 it brought"
      : ": install Node 24 from https://nodejs.org")
  );
}
