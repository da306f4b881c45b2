// Draws one dashboard's JSON with Grafana's components from recorded answers of Prometheus.
import React from 'react';
import { createRoot } from 'react-dom/client';
import {
  applyFieldOverrides, cacheFieldDisplayNames, getDisplayValueAlignmentFactors, createTheme, getFieldDisplayValues, Registry, standardTransformersRegistry,
  transformDataFrame, identityOverrideProcessor, ThemeContext,
} from '@grafana/data';
import { BarGauge, BigValue, PanelChrome, TimeSeries, VizRepeater, GlobalStyles } from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';
import { frames } from './frames.js';
import { transformers } from './transformers.js';
import { StateTimeline, Heatmap } from './echarts.jsx';

const { dashboard, answers, start, end, themeName, width } = window.DASHVIEW;
const theme = createTheme({ colors: { mode: themeName } });
standardTransformersRegistry.setInit(() => transformers);

// The properties that the dashboards set; Grafana's own registry of them is in its server part.
const properties = ['unit', 'min', 'max', 'decimals', 'thresholds', 'mappings', 'noValue', 'links', 'color', 'displayName'].map((id) => ({
  id, path: id, name: id, process: identityOverrideProcessor, shouldApply: () => true, isCustom: false,
})).concat(['cellOptions', 'minWidth', 'align', 'lineWidth', 'fillOpacity', 'stacking', 'drawStyle', 'lineInterpolation', 'thresholdsStyle', 'showPoints', 'spanNulls', 'axisSoftMax'].map((id) => ({ id: `custom.${id}`, path: id, name: id, process: identityOverrideProcessor, shouldApply: () => true, isCustom: true })));
const registry = new Registry(() => properties);

const timeRange = { from: dateTime(start), to: dateTime(end), raw: { from: 'now-1h', to: 'now' } };
function dateTime(ms) { return { valueOf: () => ms, isValid: () => true, toDate: () => new Date(ms), unix: () => ms / 1000, diff: () => 0 }; }

const cell = 30, gap = 8;

function prepare(panel) {
  const data = applyFieldOverrides({
    data: frames(panel, answers[panel.id] || []), fieldConfig: panel.fieldConfig, fieldConfigRegistry: registry,
    replaceVariables: (v) => v, theme, timeZone: 'utc',
  });
  return data;
}

function Stat({ panel, w, h }) {
  const fields = getFieldDisplayValues({
    fieldConfig: panel.fieldConfig, reduceOptions: panel.options.reduceOptions, replaceVariables: (v) => v, theme,
    data: prepare(panel), timeZone: 'utc',
  });
  const values = fields.length ? fields : [{ display: { text: panel.fieldConfig.defaults.noValue ?? 'No data', numeric: NaN, color: '#808080' } }];
  return (
    <VizRepeater getValues={() => values} width={w} height={h} source={values} orientation={'auto'} autoGrid={true} itemSpacing={3}
      renderValue={({ value, width, height, count }) => (
        <BigValue value={count === 1 ? { ...value.display, title: '' } : value.display} width={width} height={height} theme={theme}
          colorMode={panel.options.colorMode} graphMode="none" justifyMode="auto" textMode="auto" count={count} wideLayout={true} />
      )} />
  );
}

function Bars({ panel, w, h }) {
  const values = getFieldDisplayValues({
    fieldConfig: panel.fieldConfig, reduceOptions: panel.options.reduceOptions, replaceVariables: (v) => v, theme, data: prepare(panel), timeZone: 'utc',
  });
  return (
    <VizRepeater getValues={() => values} width={w} height={h} source={values} orientation="horizontal" itemSpacing={8} minVizHeight={16} maxVizHeight={40}
      renderValue={({ value, width, height, alignmentFactors }) => (
        <BarGauge value={value.display} width={width} height={height} field={value.field} orientation="horizontal" theme={theme} alignmentFactors={alignmentFactors}
          display={value.view?.getFieldDisplayProcessor(value.colIndex)} displayMode={panel.options.displayMode} valueDisplayMode={panel.options.valueMode}
          namePlacement={panel.options.namePlacement} showUnfilled={panel.options.showUnfilled} itemSpacing={8} lcdCellWidth={12} />
      )} getAlignmentFactors={(list) => getDisplayValueAlignmentFactors(list)} />
  );
}

function Grid({ panel, w, h }) {
  const [data, set] = React.useState();
  React.useEffect(() => {
    transformDataFrame(panel.transformations, frames(panel, answers[panel.id] || [])).subscribe((list) => set(named(
      applyFieldOverrides({ data: list, fieldConfig: panel.fieldConfig, fieldConfigRegistry: registry, replaceVariables: (v) => v, theme, timeZone: 'utc' }))));
  }, []);
  if (!data) { return null; }
  if (!data.length || !data[0].length) { return <Empty panel={panel} />; }
  const sort = panel.options.sortBy?.[0];
  return <TableNG data={data[0]} width={w} height={h} cellHeight="sm" noHeader={false} structureRev={1} timeRange={timeRange} getActions={() => []}
    disableKeyboardEvents={true} replaceVariables={(v) => v} initialSortBy={sort ? [{ displayName: sort.displayName, desc: sort.desc }] : []} />;
}

function named(data) {
  cacheFieldDisplayNames(data);
  return data;
}

function Empty({ panel }) {
  return <div style={{ display: 'flex', height: '100%', alignItems: 'center', justifyContent: 'center', color: theme.colors.text.secondary }}>{panel.fieldConfig.defaults.noValue ?? 'No data'}</div>;
}

function Lines({ panel, w, h }) {
  const data = prepare(panel);
  if (!data.length) { return <Empty panel={panel} />; }
  return <TimeSeries frames={data} structureRev={1} timeRange={timeRange} timeZone="utc" width={w} height={h} legend={panel.options.legend} options={panel.options} />;
}

// The logs panel is in no package of Grafana: plain lines here.
function Logs({ panel, h }) {
  const lines = (answers[panel.id]?.[0]?.result ?? []).flatMap((s) => s.values).sort((a, b) => b[0].localeCompare(a[0]));
  return (
    <div style={{ height: h, overflow: 'hidden', font: '12px/18px "Roboto Mono", monospace', color: theme.colors.text.primary }}>
      {lines.map(([ns, line], i) => <div key={i} style={{ whiteSpace: 'nowrap' }}>{new Date(Number(ns.slice(0, -6))).toISOString().slice(0, 19).replace('T', ' ')} {line}</div>)}
    </div>
  );
}

class Guard extends React.Component {
  state = {};
  static getDerivedStateFromError(error) { return { error }; }
  render() { return this.state.error ? <pre className="failed">{String(this.state.error.stack).slice(0, 400)}</pre> : this.props.children; }
}

function Content({ panel, w, h }) {
  const props = { panel, w, h };
  switch (panel.type) {
    case 'stat': return <Stat {...props} />;
    case 'bargauge': return <Bars {...props} />;
    case 'table': return <Grid {...props} />;
    case 'timeseries': return <Lines {...props} />;
    case 'state-timeline': return <StateTimeline {...props} data={prepare(panel)} theme={theme} start={start} end={end} />;
    case 'logs': return <Logs {...props} />;
    case 'heatmap': return <Heatmap {...props} data={prepare(panel)} theme={theme} start={start} end={end} />;
  }
  return <Empty panel={panel} />;
}

function App() {
  const phone = width < 700;
  const column = (width - 16) / 24;
  let y = 0;
  const places = dashboard.panels.map((p) => {
    const g = p.gridPos;
    if (!phone) { return { x: 8 + g.x * column, y: g.y * (cell + gap), w: g.w * column - gap, h: g.h * (cell + gap) - gap }; }
    const place = { x: 8, y, w: width - 16, h: g.h * (cell + gap) - gap };
    y += place.h + gap;
    return place;
  });
  const bottom = Math.max(...places.map((p) => p.y + p.h));
  return (
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <h1 style={{ font: '500 20px Inter, sans-serif', color: theme.colors.text.primary, margin: 8 }}>{dashboard.title}</h1>
      <div style={{ position: 'relative', height: bottom + 8 }}>
        {dashboard.panels.map((p, i) => (
          <div key={p.id} style={{ position: 'absolute', left: places[i].x, top: places[i].y, width: places[i].w, height: places[i].h }}>
            {p.type === 'row' ? <div style={{ font: '500 15px Inter, sans-serif', color: theme.colors.text.primary, padding: 6 }}>⌄ {p.title}</div> : (
              <Guard>
                <PanelChrome title={p.title} description={p.description} width={places[i].w} height={places[i].h} padding={p.type === 'table' ? 'none' : 'md'}>
                  {(w, h) => <Guard><Content panel={p} w={w} h={h} /></Guard>}
                </PanelChrome>
              </Guard>
            )}
          </div>
        ))}
      </div>
    </ThemeContext.Provider>
  );
}

document.body.style.background = theme.colors.background.canvas;
document.body.style.margin = 0;
createRoot(document.getElementById('root')).render(<App />);
setTimeout(() => { document.title = 'drawn'; }, 1500);
