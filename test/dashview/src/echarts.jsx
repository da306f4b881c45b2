// State timelines and heatmaps, whose components are in no package of Grafana: drawn with
// ECharts, with Grafana's colours and from the same data frames.
import React from 'react';
import * as echarts from 'echarts';
import { getFieldDisplayName } from '@grafana/data';

function Chart({ option, w, h }) {
  const ref = React.useRef();
  React.useEffect(() => {
    const chart = echarts.init(ref.current, null, { renderer: 'canvas', width: w, height: h });
    chart.setOption({ animation: false, ...option });
    return () => chart.dispose();
  }, []);
  return <div ref={ref} style={{ width: w, height: h }} />;
}

const bound = (frame) => (frame.labels.le === '+Inf' ? Infinity : Number(frame.labels.le));
const text = (theme) => ({ color: theme.colors.text.secondary, fontSize: 12, fontFamily: 'Inter, Helvetica, Arial, sans-serif' });
const clock = (start, end) => (ms) => { const t = new Date(ms).toISOString(); return end - start > 2 * 86400e3 ? t.slice(5, 10) : t.slice(11, 16); };

export function StateTimeline({ panel, data, theme, start, end, w, h }) {
  const names = data.map((f) => getFieldDisplayName(f.fields[1], f, data));
  const items = [];
  const legend = new Map();
  data.forEach((frame, row) => {
    const [time, value] = frame.fields;
    let from = 0;
    for (let i = 1; i <= frame.length; i++) {
      if (i < frame.length && value.values[i] === value.values[from]) { continue; }
      const v = value.values[from];
      if (v !== null) {
        const shown = value.display(v);
        legend.set(shown.text, shown.color);
        items.push({ value: [row, time.values[from], i < frame.length ? time.values[i] : end, shown.text], itemStyle: { color: shown.color, opacity: 0.85 } });
      }
      from = i;
    }
  });
  const left = Math.min(w * 0.35, 24 + 6.6 * Math.max(...names.map((n) => n.length)));
  const rows = h - 22;
  return (
    <div>
      <Chart w={w} h={rows} option={{
        grid: { left, right: 12, top: 4, bottom: 22 },
        xAxis: { type: 'time', min: start, max: end, axisLabel: { ...text(theme), formatter: clock(start, end), hideOverlap: true }, splitLine: { show: false }, axisLine: { show: false } },
        yAxis: { type: 'category', data: names, inverse: true, axisLabel: { ...text(theme), width: left - 12, overflow: 'truncate', interval: 0 }, axisTick: { show: false }, axisLine: { show: false } },
        series: [{
          type: 'custom', data: items, encode: { x: [1, 2], y: 0 },
          renderItem: (params, api) => {
            const a = api.coord([api.value(1), api.value(0)]);
            const b = api.coord([api.value(2), api.value(0)]);
            const height = api.size([0, 1])[1] * (panel.options.rowHeight ?? 0.85);
            return { type: 'rect', shape: { x: a[0], y: a[1] - height / 2, width: Math.max(1, b[0] - a[0]), height }, style: api.style() };
          },
        }],
      }} />
      <div style={{ display: 'flex', gap: 14, paddingLeft: 6, ...text(theme), font: '12px Inter, sans-serif' }}>
        {[...legend].map(([name, color]) => <span key={name}><span style={{ display: 'inline-block', width: 14, height: 4, background: color, marginRight: 6, verticalAlign: 'middle' }} />{name}</span>)}
      </div>
    </div>
  );
}

export function Heatmap({ panel, data, theme, start, end, w, h }) {
  const frames = [...data].sort((a, b) => bound(a) - bound(b));
  const names = frames.map((f) => (f.labels.le === '+Inf' ? '∞' : `${f.labels.le} ${panel.options.yAxis.unit ?? ''}`));
  const cells = [];
  const lower = new Map();
  const step = frames[0] ? frames[0].fields[0].values[1] - frames[0].fields[0].values[0] : 0;
  const merge = Math.max(1, Math.ceil((end - start) / step / (w / 9)));
  frames.forEach((f, row) => {
    const sums = new Map();
    f.fields[0].values.forEach((t, i) => {
      const v = f.fields[1].values[i];
      const slot = Math.floor((t - start) / (step * merge));
      sums.set(slot, (sums.get(slot) ?? 0) + (v ?? 0));
    });
    for (const [slot, sum] of sums) {
      const own = sum - (lower.get(slot) ?? 0);
      lower.set(slot, sum);
      if (own > 1e-9) { cells.push([start + slot * step * merge, row, Math.sqrt(own)]); }
    }
  });
  const most = Math.max(1e-9, ...cells.map((c) => c[2]));
  return <Chart w={w} h={h} option={{
    grid: { left: 60, right: 12, top: 6, bottom: 24 },
    xAxis: { type: 'time', min: start, max: end, axisLabel: { ...text(theme), formatter: clock(start, end), hideOverlap: true }, splitLine: { show: false } },
    yAxis: { type: 'category', data: names, axisLabel: text(theme), axisTick: { show: false } },
    series: [{
      type: 'custom', data: cells, encode: { x: 0, y: 1 },
      renderItem: (params, api) => {
        const [x, y] = api.coord([api.value(0), api.value(1)]);
        const [cw] = api.size([step * merge, 0]);
        const height = api.size([0, 1])[1];
        const part = api.value(2) / most;
        return { type: 'rect', shape: { x, y: y - height / 2, width: Math.max(1, cw - 1), height: height - 1 }, style: { fill: `rgba(255, 120, 10, ${0.12 + 0.88 * part})` } };
      },
    }],
  }} />;
}
