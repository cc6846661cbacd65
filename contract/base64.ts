// Base64 (RFC 4648 §4) of octets, without Node's Buffer: the engine and the contract run on web standards only.

export const base64Of = (bytes: Uint8Array): string => {
  let binary = '';
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
};
