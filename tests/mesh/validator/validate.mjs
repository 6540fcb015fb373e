// Prints the Khronos validator's report on a GLB file as JSON: node validate.mjs FILE.glb
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

const validator = createRequire(import.meta.url)('gltf-validator');
const report = await validator.validateBytes(new Uint8Array(await readFile(process.argv[2])), { maxIssues: 100 });
console.log(JSON.stringify(report.issues));
