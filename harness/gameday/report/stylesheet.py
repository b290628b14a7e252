"""How the timeline looks: colours also differ in hatching, for print and colour blindness."""

__all__ = ["PATTERNS", "STYLE"]

STYLE = """
text { font-family: Inter, "Segoe UI", "Helvetica Neue", Helvetica, Arial, sans-serif;
  font-variant-numeric: tabular-nums; fill: #1d2733; }
.paper { fill: #ffffff; }
.headline { font-size: 20px; font-weight: 700; }
.facts { font-size: 12px; fill: #5a6673; }
.reason { font-size: 14px; }
.number { font-size: 18px; font-weight: 700; }
.number-name, .tick { font-size: 11px; fill: #5a6673; }
.panel { font-size: 12px; font-weight: 700; }
.lane { font-size: 11px; }
.mark { font-size: 11px; font-weight: 700; }
.badge { rx: 5px; }
.badge-text { font-size: 17px; font-weight: 700; fill: #ffffff; }
.pass { fill: #25704a; } .fail { fill: #b3261e; } .invalid { fill: #6b4a9e; }
.inconclusive { fill: #8a5a00; } .error { fill: #37414d; }
.rule, .grid { stroke: #e3e8ed; stroke-width: 1; }
.axis { stroke: #5a6673; stroke-width: 1; }
.phase0 { fill: #e9eef3; } .phase1 { fill: #d6dfe7; }
.fault { fill: #f0c4bf; stroke: #b3261e; stroke-width: 1; }
.band { fill: #b3261e; fill-opacity: 0.07; }
.outage { fill: #f6e3c3; stroke: #8a5a00; stroke-width: 1; }
.recovery { fill: #dcebe2; stroke: #25704a; stroke-width: 1; }
.ok { fill: #a9c8d8; }
.failed { fill: url(#gameday-failed); }
.unknown { fill: url(#gameday-unknown); }
.swatch { stroke: #5a6673; stroke-width: 0.75; }
polyline { fill: none; stroke-linejoin: round; }
.p50 { stroke: #1f5673; stroke-width: 1.8; }
.p99 { stroke: #5f9ab8; stroke-width: 1.4; stroke-dasharray: 4 2; }
.limit { stroke: #25704a; stroke-width: 1.2; stroke-dasharray: 8 3 2 3; }
.halo { paint-order: stroke; stroke: #ffffff; stroke-width: 3px; stroke-linejoin: round; }
.limit-text { font-size: 11px; fill: #25704a; }
.mark-line { stroke: #37414d; stroke-width: 0.9; stroke-dasharray: 1.5 2.5; }
"""

PATTERNS = """<defs>
<pattern id="gameday-failed" width="6" height="6" patternUnits="userSpaceOnUse"
 patternTransform="rotate(45)"><rect width="6" height="6" fill="#f7d9d6"/>
<rect width="2.4" height="6" fill="#b3261e"/></pattern>
<pattern id="gameday-unknown" width="6" height="6" patternUnits="userSpaceOnUse">
<rect width="6" height="6" fill="#fbe7bd"/>
<circle cx="1.5" cy="1.5" r="1.2" fill="#8a5a00"/><circle cx="4.5" cy="4.5" r="1.2" fill="#8a5a00"/>
</pattern></defs>"""
