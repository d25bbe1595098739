// What the player wants: a direction and dashes, from keys or from a finger.
//
// The stick appears where the finger lands on the left two thirds of the arena; a second finger, or the button, dashes.

export interface Wish {
  readonly x: number;
  readonly y: number;
}

const KEYS: Readonly<Record<string, Wish>> = {
  KeyW: { x: 0, y: -1 },
  ArrowUp: { x: 0, y: -1 },
  KeyS: { x: 0, y: 1 },
  ArrowDown: { x: 0, y: 1 },
  KeyA: { x: -1, y: 0 },
  ArrowLeft: { x: -1, y: 0 },
  KeyD: { x: 1, y: 0 },
  ArrowRight: { x: 1, y: 0 },
};
const STICK_REACH = 52;
/** A thumb at rest trembles; below this share of the reach nothing is meant. */
const STICK_DEAD = 0.16;

export class Controls {
  readonly #held = new Set<string>();
  readonly #stick: HTMLElement;
  #finger: { readonly id: number; readonly x: number; readonly y: number } | undefined;
  #pull: Wish = { x: 0, y: 0 };

  constructor(
    stage: HTMLElement,
    stick: HTMLElement,
    dashButton: HTMLElement,
    onDash: () => void,
    onUsed: () => void,
  ) {
    this.#stick = stick;
    addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      if (KEYS[event.code] !== undefined) {
        this.#held.add(event.code);
        event.preventDefault();
        onUsed();
      } else if (event.code === "Space" && !isPressable(event.target)) {
        event.preventDefault();
        if (!event.repeat) onDash();
        onUsed();
      }
    });
    addEventListener("keyup", (event) => this.#held.delete(event.code));
    // Keys that are let go while another window has the focus are never reported.
    addEventListener("blur", () => this.#letGo());
    document.addEventListener("visibilitychange", () => this.#letGo());

    stage.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "mouse" || (event.target as Element).closest("button, a") !== null) return;
      event.preventDefault();
      onUsed();
      if (this.#finger !== undefined || event.clientX > stage.clientWidth * 0.67) {
        onDash();
        return;
      }
      this.#finger = { id: event.pointerId, x: event.clientX, y: event.clientY };
      this.#pull = { x: 0, y: 0 };
      this.#showStick();
    });
    addEventListener("pointermove", (event) => {
      if (event.pointerId !== this.#finger?.id) return;
      const x = (event.clientX - this.#finger.x) / STICK_REACH;
      const y = (event.clientY - this.#finger.y) / STICK_REACH;
      const length = Math.max(1, Math.hypot(x, y));
      this.#pull = { x: x / length, y: y / length };
      this.#showStick();
    });
    const lift = (event: PointerEvent): void => {
      if (event.pointerId === this.#finger?.id) this.#letGo();
    };
    addEventListener("pointerup", lift);
    addEventListener("pointercancel", lift);
    dashButton.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      onDash();
    });
    // A click without a pointer is a key or a screen reader.
    dashButton.addEventListener("click", (event) => {
      if (event.detail === 0) onDash();
    });
  }

  /** The direction wanted now, of length 0 to 1. */
  wish(): Wish {
    if (this.#finger !== undefined) {
      return Math.hypot(this.#pull.x, this.#pull.y) < STICK_DEAD ? { x: 0, y: 0 } : this.#pull;
    }
    let x = 0;
    let y = 0;
    for (const code of this.#held) {
      x += KEYS[code]?.x ?? 0;
      y += KEYS[code]?.y ?? 0;
    }
    x = Math.sign(x);
    y = Math.sign(y);
    const length = Math.hypot(x, y) || 1;
    return { x: x / length, y: y / length };
  }

  #letGo(): void {
    this.#held.clear();
    this.#finger = undefined;
    this.#pull = { x: 0, y: 0 };
    this.#stick.hidden = true;
  }

  #showStick(): void {
    if (this.#finger === undefined) return;
    this.#stick.hidden = false;
    this.#stick.style.left = `${this.#finger.x}px`;
    this.#stick.style.top = `${this.#finger.y}px`;
    this.#stick.style.setProperty("--x", `${this.#pull.x * STICK_REACH}px`);
    this.#stick.style.setProperty("--y", `${this.#pull.y * STICK_REACH}px`);
  }
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement;
}

function isPressable(target: EventTarget | null): boolean {
  return target instanceof HTMLButtonElement;
}
