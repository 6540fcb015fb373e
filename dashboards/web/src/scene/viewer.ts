import { SparkRenderer } from "@sparkjsdev/spark";
import * as THREE from "three";

export function open(canvas: HTMLCanvasElement): SparkRenderer {
  const renderer = new THREE.WebGLRenderer({ canvas });
  return new SparkRenderer({ renderer });
}
