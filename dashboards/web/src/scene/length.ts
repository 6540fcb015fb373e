/** Lengths as people read them. */

/** `metres` with the unit that fits: "4.2 mm", "37.5 cm", "1.84 m". */
export function metres(length: number): string {
  if (length < 0.0095) return `${(length * 1000).toFixed(1)} mm`;
  if (length < 0.9995) return `${(length * 100).toFixed(1)} cm`;
  return `${length < 99.95 ? length.toFixed(2) : Math.round(length)} m`;
}

/** What a measured length is called: in metres when the scene is metric, else in its own unit, and it says so. */
export function measured(length: number, metric: boolean): string {
  return metric ? metres(length) : `${Number(length.toPrecision(3))} units`;
}

/** What the size of a scene is worth, for the information about it. */
export function scaleText(metric: boolean, uncertainty: number | null): string {
  if (!metric) return "not to scale (units of the reconstruction)";
  return uncertainty === null ? "metres" : `metres (±${percent(uncertainty)} %)`;
}

function percent(fraction: number): string {
  const value = 100 * fraction;
  return value < 0.1 ? String(Number(value.toPrecision(1))) : value.toFixed(value < 10 ? 1 : 0);
}
