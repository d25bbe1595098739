// What each player may see, as plain data: StateViews in a checkpoint, and after a restore (CKP1).
//
// A StateView of @colyseus/schema 5.0.34 holds next to nothing itself: what it shows is a bit on each change tree, at the
// number that the encoder's root gave to the view. A restore renews all trees, so the bits are read out by refId, and
// set again under whatever number the new root gives.
//
// Kept: what is visible, custom tags, subscriptions, the list of an iterable view, what of a stream was sent and what is
// yet to be, and that several players have one view. Not kept: what a view had still to tell its player, because a
// player who returns is sent everything; a `priority` given to subscribe(), which is a function (subscribe again in
// onReconnect); a subclass of StateView.

import { $changes, type ChangeTree, type Ref, type Root, Schema, StateView } from "@colyseus/schema";

import { refIdOf, treeOf } from "./state-internals.ts";

/** A view as plain data, all of it refIds. Typed arrays, because they may be long and are compared at every look. */
export interface SavedView {
  readonly isIterable: boolean;
  /** False as long as nothing was ever added: such a view does not count as one where streams ask if there are any. */
  readonly isBound: boolean;
  readonly visible: Uint32Array;
  readonly subscribed: Uint32Array;
  /** By tag, which is a single bit each. */
  readonly tags: ReadonlyMap<number, Uint32Array>;
  /** Of iterable views: what was added, in that order. */
  readonly items: Uint32Array;
  /** By the refId of the stream: positions that the player has been sent, and that wait for their turn. */
  readonly streams: ReadonlyMap<number, { readonly sent: Uint32Array; readonly pending: Uint32Array }>;
}

/** What of a view is private. It binds itself to a root at its first add(). */
interface RawView {
  _root?: Root;
  _bindRoot(root: Root): void;
  _setSubscribed(tree: ChangeTree): void;
}

/**
 * The views of these holders. Two who share a view have one SavedView, and keep on sharing it in a structured clone.
 * Reads only; costs nothing where nobody has a view.
 */
export function captureViews(
  state: unknown,
  holders: Iterable<{ readonly view?: unknown }>,
): ReadonlyMap<unknown, SavedView> {
  const views = new Set<StateView>();
  for (const { view } of holders) if (view instanceof StateView) views.add(view);
  // A room may have no state, or one that is no Schema: then a view shows nothing, and there is nothing to keep.
  if (views.size === 0 || !(state instanceof Schema)) return new Map();
  const { root } = treeOf(state);
  return root === undefined ? new Map() : readViews(root, views);
}

/**
 * Makes views again for a room that was just restored.
 *
 * @returns makes one; the same for the same SavedView
 */
export function viewMaker(state: unknown): (saved: SavedView) => StateView {
  const made = new Map<SavedView, StateView>();
  return (saved) => {
    let view = made.get(saved);
    if (view !== undefined) return view;
    view = new StateView(saved.isIterable);
    made.set(saved, view);
    const { root } = treeOf(state);
    if (root === undefined || !saved.isBound) return view;
    bind(view, root);
    mark(view, saved, (refId) => root.changeTrees[refId]);
    markStreams(view, saved, root);
    return view;
  };
}

/**
 * Takes the views off a root that is about to be left: those that an author made in onCreate. As they are, their numbers
 * would mean somebody else's bits on the next root.
 *
 * @returns puts them on the next one, showing what is left of what they showed
 */
export function liftViews(from: Root): (to: Root) => void {
  const views = new Set<StateView>();
  from.forEachActiveView((view) => views.add(view));
  if (views.size === 0) return () => {};
  const saved = readViews(from, views);
  const refs = new Map<number, Ref>();
  for (const tree of Object.values(from.changeTrees)) refs.set(refIdOf(tree.ref) as number, tree.ref); // it is tracked
  for (const view of views) view.dispose();
  return (to) => {
    const treeNow = (refId: number): ChangeTree | undefined => {
      const tree = refs.get(refId)?.[$changes];
      return tree?.root === to ? tree : undefined;
    };
    for (const [view, marks] of saved) {
      bind(view, to);
      mark(view, { ...marks, subscribed: new Uint32Array(0) }, treeNow);
      // What is in a collection now was not there when the view subscribed to it.
      for (const refId of marks.subscribed) {
        const tree = treeNow(refId);
        if (tree !== undefined) view.subscribe(tree.ref);
      }
      view.changes.clear(); // nobody has it yet, and whoever gets it is sent everything
    }
  };
}

function readViews(root: Root, views: ReadonlySet<StateView>): Map<StateView, SavedView> {
  // One that belongs to a state that the room no longer has shows nothing of this one, though its number is another's.
  const bound = new Set([...views].filter((view) => rawViewOf(view)._root === root));
  const marks = readMarks(root, bound);
  const saved = new Map<StateView, SavedView>();
  for (const view of views) {
    saved.set(view, savedOf(view, root, bound.has(view) ? marks.get(view.id) : undefined));
  }
  return saved;
}

interface Marks {
  readonly visible: number[];
  readonly subscribed: number[];
  readonly tags: Map<number, number[]>;
}

/** By the views' numbers. One walk for all of them. */
function readMarks(root: Root, views: ReadonlySet<StateView>): Map<number, Marks> {
  const marks = new Map<number, Marks>();
  for (const { id } of views) marks.set(id, { visible: [], subscribed: [], tags: new Map() });
  if (views.size === 0) return marks;
  for (const { ref, visibleViews, subscribedViews, tagViews } of Object.values(root.changeTrees)) {
    if (visibleViews === undefined && subscribedViews === undefined && tagViews === undefined) continue;
    const refId = refIdOf(ref) as number; // what the root tracks has one
    eachBit(visibleViews, (id) => marks.get(id)?.visible.push(refId));
    eachBit(subscribedViews, (id) => marks.get(id)?.subscribed.push(refId));
    for (const [tag, bitmap] of tagViews ?? []) {
      eachBit(bitmap, (id) => {
        const tags = marks.get(id)?.tags;
        const tagged = tags?.get(tag);
        if (tagged === undefined) tags?.set(tag, [refId]);
        else tagged.push(refId);
      });
    }
  }
  return marks;
}

function eachBit(bitmap: readonly number[] | undefined, act: (id: number) => void): void {
  bitmap?.forEach((slot, at) => {
    for (let bits = slot; bits !== 0; bits &= bits - 1) act(at * 32 + 31 - Math.clz32(bits & -bits));
  });
}

function savedOf(view: StateView, root: Root, marks: Marks | undefined): SavedView {
  const streams = new Map<number, { sent: Uint32Array; pending: Uint32Array }>();
  for (const stream of marks === undefined ? [] : root.streamTrees) {
    const sent = stream._stream?.sentByView.get(view.id);
    const pending = stream._stream?.pendingByView.get(view.id);
    if (sent === undefined && pending === undefined) continue;
    streams.set(refIdOf(stream) as number, {
      sent: Uint32Array.from(sent ?? []),
      pending: Uint32Array.from(pending ?? []),
    });
  }
  const items = marks === undefined ? [] : (view.items ?? []).filter((item) => item[$changes]?.root === root);
  return {
    isIterable: view.iterable,
    isBound: marks !== undefined,
    visible: Uint32Array.from(marks?.visible ?? []),
    subscribed: Uint32Array.from(marks?.subscribed ?? []),
    tags: new Map([...(marks?.tags ?? [])].map(([tag, refIds]) => [tag, Uint32Array.from(refIds)])),
    items: Uint32Array.from(items, (item) => refIdOf(item) as number),
    streams,
  };
}

function bind(view: StateView, root: Root): void {
  rawViewOf(view)._bindRoot(root);
}

/** Sets the bits. What is not in the state any more is passed over. */
function mark(view: StateView, saved: SavedView, treeOfId: (refId: number) => ChangeTree | undefined): void {
  const each = (refIds: Uint32Array, act: (tree: ChangeTree) => void): void => {
    for (const refId of refIds) {
      const tree = treeOfId(refId);
      if (tree !== undefined) act(tree);
    }
  };
  each(saved.visible, (tree) => view.markVisible(tree));
  each(saved.subscribed, (tree) => rawViewOf(view)._setSubscribed(tree));
  for (const [tag, refIds] of saved.tags) each(refIds, (tree) => view.addTag(tree, tag));
  if (!saved.isIterable) return;
  view.items = [];
  each(saved.items, (tree) => view.items.push(tree.ref));
}

function markStreams(view: StateView, saved: SavedView, root: Root): void {
  for (const stream of root.streamTrees) {
    const marks = saved.streams.get(refIdOf(stream) as number); // it is tracked
    if (marks !== undefined) {
      stream._stream?.sentByView.set(view.id, new Set(marks.sent));
      stream._stream?.pendingByView.set(view.id, new Set(marks.pending));
    }
    // Where there are views, they alone show a stream's entries. What a restore lets everybody have again would
    // otherwise reach those who may not see it as soon as the last view is gone.
    stream._stream?.broadcastPending.clear();
  }
}

/** The same view, seen from inside. The contract test proves that the cast holds. */
function rawViewOf(view: StateView): RawView {
  return view as unknown as RawView;
}
