// What Grafana's Prometheus data source makes of an answer: data frames.
import { FieldType } from '@grafana/data';

const number = (text) => (text === undefined ? null : Number(text));

function legend(format, metric) {
  if (!format) { return `{${Object.entries(metric).map(([k, v]) => `${k}="${v}"`).join(', ')}}`; }
  return format.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => metric[label] ?? '');
}

export function frames(panel, answers) {
  const all = [];
  panel.targets.forEach((target, i) => {
    const answer = answers[i];
    if (!answer || !answer.result) { return; }
    if (target.format === 'table') { all.push(table(target, answer)); return; }
    for (const one of answer.result) { all.push(series(target, one, answer)); }
  });
  return all.filter((f) => f.length > 0);
}

function table(target, answer) {
  const labels = [...new Set(answer.result.flatMap((r) => Object.keys(r.metric)))].sort();
  const values = target.alone ? 'Value' : `Value #${target.refId}`;
  const rows = answer.result;
  return {
    refId: target.refId, length: rows.length, fields: [
      { name: 'Time', type: FieldType.time, config: {}, values: rows.map((r) => r.value[0] * 1000) },
      ...labels.map((l) => ({ name: l, type: FieldType.string, config: {}, values: rows.map((r) => r.metric[l] ?? '') })),
      { name: values, type: FieldType.number, config: {}, values: rows.map((r) => number(r.value[1])) },
    ],
  };
}

function series(target, one, answer) {
  const points = one.values ?? [one.value];
  const name = legend(target.legendFormat, one.metric);
  // Missing steps are gaps, as Grafana fills them.
  const times = [], values = [];
  points.forEach(([t, v], i) => {
    if (i > 0 && answer.step && t - points[i - 1][0] > answer.step * 1.5) {
      times.push((points[i - 1][0] + answer.step) * 1000);
      values.push(null);
    }
    times.push(t * 1000);
    values.push(number(v));
  });
  return {
    refId: target.refId, name, length: times.length, labels: one.metric, fields: [
      { name: 'Time', type: FieldType.time, config: {}, values: times },
      { name: 'Value', type: FieldType.number, config: { displayNameFromDS: name || undefined }, labels: one.metric, values },
    ],
  };
}
