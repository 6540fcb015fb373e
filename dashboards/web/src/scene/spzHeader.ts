import { Gunzip } from "fflate";

const HEADER = 16;
const MAGIC = 0x5053474e;
const FLAGS = 14;
const ANTIALIASED = 1;
const PIECE = 512; // of the packed file: more than the header is never unpacked

/** Whether an SPZ file says that its scene was trained with antialiased rasterisation. Anything else than such a file says no. */
export function isAntialiased(file: Uint8Array): boolean {
  const header: number[] = [];
  const unpack = new Gunzip((piece) => header.push(...piece.subarray(0, HEADER - header.length)));
  try {
    for (let at = 0; header.length < HEADER && at < file.length; at += PIECE)
      unpack.push(file.subarray(at, at + PIECE), at + PIECE >= file.length);
  } catch {
    return false; // whoever decodes it says what is wrong
  }
  if (header.length < HEADER) return false;
  const bytes = new DataView(Uint8Array.from(header).buffer);
  return bytes.getUint32(0, true) === MAGIC && (bytes.getUint8(FLAGS) & ANTIALIASED) !== 0;
}
