// Buffers: bytes from a socket until a message is complete, and messages until a request is complete.
// Belongs here: joining and cutting. Does not: the meaning of the bytes.

const BLOCK = 1024 * 1024;

/** Collects bytes in newly allocated memory, which can be transferred to the engine's thread without another copy. */
export class Blocks {
  #pending = [];
  #size = 0;
  #done = [];

  add(bytes) {
    this.#pending.push(bytes);
    this.#size += bytes.length;
    if (this.#size >= BLOCK) this.#seal();
    return this;
  }

  get empty() {
    return !this.#size && !this.#done.length;
  }

  finish() {
    this.#seal();
    return this.#done;
  }

  #seal() {
    if (!this.#size) return;
    const block = Buffer.allocUnsafeSlow(this.#size);
    let at = 0;
    for (const bytes of this.#pending) at += bytes.copy(block, at);
    this.#done.push(block);
    this.#pending = [];
    this.#size = 0;
  }
}

/** Bytes that have arrived and are not yet cut into messages. */
export class Inbox {
  #chunks = [];
  size = 0;

  push(chunk) {
    this.#chunks.push(chunk);
    this.size += chunk.length;
  }

  /** The first `count` bytes, without removing them; there must be as many. */
  peek(count) {
    if (this.#chunks[0].length < count) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0].subarray(0, count);
  }

  take(count) {
    const parts = [];
    this.size -= count;
    for (let left = count; left; ) {
      const chunk = this.#chunks[0];
      parts.push(chunk.subarray(0, left));
      if (chunk.length <= left) this.#chunks.shift();
      else this.#chunks[0] = chunk.subarray(left);
      left -= Math.min(left, chunk.length);
    }
    return parts.length === 1 ? parts[0] : Buffer.concat(parts);
  }
}
