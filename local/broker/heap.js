"use strict";

/**
 * A priority queue from which any item can be taken out.
 *
 * Each item remembers its own place in a property named by the heap's `slot`, so that adding and
 * removing cost O(log n), and an item with the largest key is added in O(1). An item may be in
 * several heaps at once if their slots differ.
 *
 * @template {object} T
 */
class Heap {
  #items = /** @type {T[]} */ ([]);
  #keyOf;
  #slot;

  /**
   * @param {(item: T) => number} keyOf the item with the smallest key comes first
   * @param {string} slot name of the property in which an item keeps its place
   */
  constructor(keyOf, slot) {
    this.#keyOf = keyOf;
    this.#slot = slot;
  }

  /** @returns {number} */
  get size() {
    return this.#items.length;
  }

  /** @returns {T | undefined} the first item, which stays */
  get first() {
    return this.#items[0];
  }

  /** @param {T} item not yet in this heap; its key must not change while it is */
  push(item) {
    this.#place(item, this.#items.length);
    this.#rise(this.#items.length - 1);
  }

  /** @param {T} item taken out if it is here */
  remove(item) {
    const index = item[this.#slot];
    if (index === undefined || index < 0 || this.#items[index] !== item) return;
    const last = this.#items.pop();
    item[this.#slot] = -1;
    if (last === item) return;
    this.#place(last, index);
    this.#rise(index);
    this.#sink(last[this.#slot]);
  }

  #place(item, index) {
    this.#items[index] = item;
    item[this.#slot] = index;
  }

  #rise(start) {
    const item = this.#items[start];
    const key = this.#keyOf(item);
    let index = start;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (this.#keyOf(this.#items[parent]) <= key) break;
      this.#place(this.#items[parent], index);
      index = parent;
    }
    this.#place(item, index);
  }

  #sink(start) {
    const item = this.#items[start];
    const key = this.#keyOf(item);
    const count = this.#items.length;
    let index = start;
    for (let child = 2 * index + 1; child < count; child = 2 * index + 1) {
      if (
        child + 1 < count &&
        this.#keyOf(this.#items[child + 1]) < this.#keyOf(this.#items[child])
      ) {
        child += 1;
      }
      if (this.#keyOf(this.#items[child]) >= key) break;
      this.#place(this.#items[child], index);
      index = child;
    }
    this.#place(item, index);
  }
}

module.exports = { Heap };
