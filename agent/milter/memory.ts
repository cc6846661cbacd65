// What all connections together may hold: parts of packets, header fields of messages in hand, replies that nobody reads.
// Only counts. Each connection is sure of enough for a message as mail is, so that one that grows never starves the others.

export interface MemoryShare {
  /** This connection now holds `bytes`. False: there is no room for that, and the connection must end. */
  hold(bytes: number): boolean;
  /** It holds nothing any more, and is gone. */
  release(): void;
}

export interface Memory {
  share(): MemoryShare;
}

/** A body chunk of the milter protocol (65,535 bytes), and as much of header. */
export const sureOf = 128 << 10;

/** @param limit bytes that connections may hold in all, beyond what each is sure of */
export const sharedMemory = (limit: number): Memory => {
  let held = 0;
  return {
    share() {
      let own = 0;
      const beyond = (bytes: number): number => Math.max(0, bytes - sureOf);
      return {
        hold(bytes) {
          const next = held - beyond(own) + beyond(bytes);
          if (next > limit && bytes > own && bytes > sureOf) return false;
          held = next;
          own = bytes;
          return true;
        },
        release() {
          held -= beyond(own);
          own = 0;
        },
      };
    },
  };
};
