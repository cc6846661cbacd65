// Body canonicalisation, "simple" and "relaxed", as a stream: RFC 6376 §3.4.3 and §3.4.4. Pure.
// Only CRLF ends a line. A bare CR or LF is content, exactly as the wire has it: whoever wants it otherwise (an MTA that
// rewrites line ends) must do so before signing, because the verifier sees the wire.

export type BodyCanonicalization = 'simple' | 'relaxed';

export interface BodyCanonicalizer {
  /** The next bytes of the body, cut anywhere, also between CR and LF. */
  write(chunk: Uint8Array): void;
  /** The body is complete. */
  end(): void;
}

/** Takes canonical bytes. They may be a view of the input or of a buffer that is used again: valid until it returns. */
export type Emit = (bytes: Uint8Array) => void;

const [tab, lf, cr, sp] = [9, 10, 13, 32];
const crlf = Uint8Array.of(cr, lf);
const bareCr = Uint8Array.of(cr);
const bufferSize = 4096;
/** Ranges of this length are handed on as views; shorter ones are gathered. */
const viewFrom = 1024;

/**
 * "simple": the body as it is, with exactly one CRLF at its end instead of any number; of an empty body CRLF.
 * RFC 6376 §3.4.3.
 */
const simple = (emit: Emit): BodyCanonicalizer => {
  /** CRLFs that belong to the body only if something follows. */
  let held = 0;
  let heldCr = false;
  const release = (): void => {
    for (; held > 0; held -= 1) emit(crlf);
  };
  const releaseCr = (): void => {
    release();
    emit(bareCr);
    heldCr = false;
  };
  return {
    write(chunk) {
      if (chunk.length === 0) return;
      let start = 0;
      if (heldCr && chunk[0] === lf) {
        heldCr = false;
        held += 1;
        start = 1;
      } else if (heldCr) releaseCr();
      let end = chunk.length;
      const endsInCr = end > start && chunk[end - 1] === cr;
      if (endsInCr) end -= 1;
      let lines = 0;
      for (; end - 2 >= start && chunk[end - 1] === lf && chunk[end - 2] === cr; end -= 2) lines += 1;
      if (end > start) {
        release();
        emit(chunk.subarray(start, end));
      }
      held += lines;
      heldCr = endsInCr;
    },
    end() {
      if (heldCr) releaseCr();
      emit(crlf);
    },
  };
};

const noWords = new Int32Array(0);

/** The chunk's bytes four at a time, from the first that lies on a multiple of four in its buffer. */
const wordsOf = ({ buffer, byteOffset, length }: Uint8Array): Int32Array => {
  const start = (byteOffset + 3) & ~3;
  const count = (byteOffset + length - start) >> 2;
  return count < 4 ? noWords : new Int32Array(buffer, start, count);
};

/** Whether one of the four bytes is at most a space: all that relaxing may touch is. */
const hasSpecial = (word: number): boolean => ((word - 0x21212121) & ~word & 0x80808080) !== 0;

/**
 * Where a run of bytes that relaxing leaves as they are ends: before a tab, before a space that another one or the end
 * of the line may follow, before an empty line that more of them may follow, before a CR at the end of the chunk.
 * `chunk[from]` is content. Byte by byte, as words and spaces alternate in text; four at a time where 16 are due, as base64
 * has no spaces: either alone is slow for the other.
 */
const endOfPlainRun = (chunk: Uint8Array, words: Int32Array, from: number): number => {
  const { length } = chunk;
  const shift = chunk.byteOffset & 15;
  const firstWord = (chunk.byteOffset + 3) >> 2;
  let i = from + 1;
  while (i < length) {
    // Within bounds; `??` would cost a tenth of the speed.
    const byte = chunk[i] as number;
    if (byte > sp) {
      i += 1;
      if (((i + shift) & 15) === 0) {
        let at = ((chunk.byteOffset + i) >> 2) - firstWord;
        const start = at;
        while (at < words.length && !hasSpecial(words[at] as number)) at += 1;
        i += (at - start) << 2;
      }
    } else if (byte === sp) {
      const next = chunk[i + 1];
      if (next === undefined || next === sp || next === tab || next === cr) return i;
      i += 1;
    } else if (byte === tab) return i;
    else if (byte === cr) {
      const next = chunk[i + 1];
      if (next === undefined) return i;
      if (next === lf) {
        i += 2;
        if (i < length && chunk[i] === cr) {
          // One empty line between two that have content, as between paragraphs.
          const after = chunk[i + 2];
          if (chunk[i + 1] !== lf || after === undefined || after <= sp) return i;
          i += 2;
        }
      } else i += 1;
    } else i += 1;
  }
  return i;
};

/**
 * "relaxed": white space at the ends of lines is dropped, runs of it become one space, empty lines at the end are
 * dropped, and a last line without CRLF gets one; of an empty body nothing. RFC 6376 §3.4.4.
 */
const relaxed = (emit: Emit): BodyCanonicalizer => {
  let buffer: Uint8Array | undefined;
  let used = 0;
  /** The line at hand has content that was given out. */
  let lineOpen = false;
  /** What counts only if content follows: empty lines, then white space, then a CR. */
  let emptyLines = 0;
  let space = false;
  let heldCr = false;

  const flush = (): void => {
    if (buffer !== undefined && used > 0) emit(buffer.subarray(0, used));
    used = 0;
  };
  const put = (byte: number): void => {
    buffer ??= new Uint8Array(bufferSize);
    if (used === bufferSize) flush();
    buffer[used] = byte;
    used += 1;
  };
  const putRange = (chunk: Uint8Array, from: number, to: number): void => {
    const length = to - from;
    if (length >= viewFrom || (used === 0 && to === chunk.length)) {
      flush();
      emit(chunk.subarray(from, to));
      return;
    }
    buffer ??= new Uint8Array(bufferSize);
    if (used + length > bufferSize) flush();
    if (length < 24) for (let i = from; i < to; i += 1) buffer[used + i - from] = chunk[i] as number;
    else buffer.set(chunk.subarray(from, to), used);
    used += length;
  };
  const endLine = (): void => {
    space = false;
    if (!lineOpen) emptyLines += 1;
    else {
      put(cr);
      put(lf);
      lineOpen = false;
    }
  };
  const release = (): void => {
    for (; emptyLines > 0; emptyLines -= 1) {
      put(cr);
      put(lf);
    }
    if (space) put(sp);
    space = false;
  };
  const releaseCr = (): void => {
    release();
    put(cr);
    heldCr = false;
    lineOpen = true;
  };

  return {
    write(chunk) {
      const { length } = chunk;
      const words = wordsOf(chunk);
      let i = 0;
      if (heldCr && length > 0) {
        if (chunk[0] === lf) {
          heldCr = false;
          endLine();
          i = 1;
        } else releaseCr();
      }
      while (i < length) {
        const byte = chunk[i] as number;
        if (byte === sp || byte === tab) {
          space = true;
          do i += 1;
          while (i < length && (chunk[i] === sp || chunk[i] === tab));
        } else if (byte === cr && i + 1 === length) {
          heldCr = true;
          i += 1;
        } else if (byte === cr && chunk[i + 1] === lf) {
          endLine();
          i += 2;
        } else {
          release();
          const end = endOfPlainRun(chunk, words, i);
          putRange(chunk, i, end);
          // The run begins with content, so CR LF in it is a line's end, and a LF without CR is not.
          lineOpen = !(end - 2 > i && chunk[end - 1] === lf && chunk[end - 2] === cr);
          i = end;
        }
      }
      flush();
    },
    end() {
      if (heldCr) releaseCr();
      if (lineOpen) endLine();
      flush();
    },
  };
};

/** A canonicaliser for one body. */
export const canonicalBody = (kind: BodyCanonicalization, emit: Emit): BodyCanonicalizer =>
  kind === 'simple' ? simple(emit) : relaxed(emit);
