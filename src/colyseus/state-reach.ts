// What a StateView truly shows: not every instance that has its bit, and some that have not got it yet.

import type { ChangeTree, Root, StateView } from "@colyseus/schema";

import { treeOf } from "./state-internals.ts";

/**
 * Lets `work` make a full state of exactly what a view shows.
 *
 * Some bits show nothing: add() may be given an instance in a field that the view does not show, and remove() with a tag,
 * or unsubscribe(), leaves the bits of what lies deeper. A full state would speak of such instances without having
 * introduced them, and a client takes that for damage and keeps all that it should have dropped. So these bits are hidden
 * meanwhile. Others are not there yet: what is visible because its parent is gets its bit when it is first asked for, and
 * the filters of sets and collections do not ask.
 *
 * @param work is given what tells whether a full state names an instance, be it only as a field's value that it does not
 *   go into
 */
export function withExactBits<Result>(
  view: StateView,
  root: Root,
  work: (isNamed: (tree: ChangeTree) => boolean) => Result,
): Result {
  const known = new Map<ChangeTree, boolean>();
  const isReachable = (tree: ChangeTree): boolean => {
    if (!tree.isFiltered) return true;
    let found = known.get(tree);
    if (found !== undefined) return found;
    known.set(tree, false); // nothing is reached by way of itself
    // Parents first: asking for them may give them the bit that this one's visibility follows from.
    const isShown = edgesOf(tree).filter(([parent, at]) => shows(parent, at)).length > 0;
    found = view.isChangeTreeVisible(tree) && isShown;
    known.set(tree, found);
    return found;
  };
  const shows = (parent: ChangeTree, at: number): boolean => {
    const { filter, isSchema } = parent.encDescriptor;
    // In a view's part of a full state nobody speaks who is not visible, be it public.
    if (parent.root !== root || !isReachable(parent) || !view.isChangeTreeVisible(parent)) return false;
    return !isSchema || filter === undefined || filter(parent.ref, at, view);
  };
  const unreachable = Object.values(root.changeTrees).filter(
    (tree) => tree.isFiltered && !isReachable(tree) && view.isVisible(tree),
  );
  for (const tree of unreachable) view.unmarkVisible(tree);
  try {
    return work((tree) => edgesOf(tree).some(([parent, at]) => parent._isSchema && shows(parent, at)));
  } finally {
    for (const tree of unreachable) view.markVisible(tree);
  }
}

/** Where an instance is: in which others, and there at which index. */
function edgesOf({ parent, parentIndex, extraParents }: ChangeTree): [ChangeTree, number][] {
  const edges: [ChangeTree, number][] = [];
  if (parent !== undefined) edges.push([treeOf(parent), parentIndex as number]); // it has one with a parent
  for (let edge = extraParents; edge !== undefined; edge = edge.next) {
    edges.push([treeOf(edge.ref), edge.index]);
  }
  return edges;
}
