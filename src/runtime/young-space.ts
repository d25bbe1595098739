// Room for a burst. V8 gives young objects 1 MB at first and doubles that each time too much of it has survived; a node that
// takes over another's rooms makes tens of MB that stay, and until the space has grown each of a dozen collections copies
// them. Grown in one step it is collected twice. The largest size is what it was, V8's own.

import { setFlagsFromString } from "node:v8";

export function growYoungSpaceAtOnce(): void {
  setFlagsFromString("--semi-space-growth-factor=16");
}
