// What authors' callbacks may give back instead of a result.

/** Whether it can be awaited: also what is not of the class Promise, as query builders are. */
export function isPromise<Result>(given: Result | PromiseLike<Result>): given is PromiseLike<Result> {
  return typeof (given as { then?: unknown } | null | undefined)?.then === "function";
}
