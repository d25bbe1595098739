// Running what promises have made runnable, at once and to the end, from code that is not itself such a step.
//
// Virtual time may move only when nothing is runnable any more. A turn of the event loop (`setImmediate`) would wait for
// that as well, but takes four times as long, and lets in whatever else the process does: timers of the test runner, I/O.
// Called from within a promise's step it would do nothing, so a simulation is entered from a macrotask (see simulate.ts).

interface Ticking {
  _tickCallback?: () => void;
}

/** Runs promises' steps, and what process.nextTick was given, until there are none. */
export function runMicrotasks(): void {
  // Node's own callbacks end with this call. It is undocumented (DEP0134), hence the check.
  const { _tickCallback: run } = process as unknown as Ticking;
  if (run === undefined)
    throw new Error("this Node has no process._tickCallback; simulate.ts needs another way");
  run.call(process);
}

/** Replaces what production code takes from the global scope and would make a run differ from the next: chance, turns. */
export function withGlobals<Result>(
  random: () => number,
  nextTurn: (work: () => void) => void,
  run: () => Result,
): Result {
  const { random: realRandom } = Math;
  const realImmediate = globalThis.setImmediate;
  Math.random = random;
  // Nobody here looks at what it returns.
  globalThis.setImmediate = ((work: () => void) => nextTurn(work)) as unknown as typeof setImmediate;
  try {
    return run();
  } finally {
    Math.random = realRandom;
    globalThis.setImmediate = realImmediate;
  }
}
