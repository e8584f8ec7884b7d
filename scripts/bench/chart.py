"""Bars as an SVG picture that reads on a light and on a dark page."""

from xml.sax.saxutils import escape

BAR, GAP, LABEL, WIDTH, SCALE = 18, 6, 170, 720, 430

STYLE = """<style>
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600 }
  .other { fill: #8c959f } .ours { fill: #1f883d }
  @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .other { fill: #6e7681 } .ours { fill: #2ea043 } }
</style>"""


def bars(panels):
    """`panels` is [(title, [(label, value, text, is_ours)])]; each panel has a scale of its own."""
    lines, y = [], 0
    for title, rows in panels:
        y += 24
        lines.append(f'<text class="title" x="0" y="{y - 6}">{escape(title)}</text>')
        longest = max(value for _, value, _, _ in rows)
        for label, value, text, is_ours in rows:
            width = max(1, round(SCALE * value / longest))
            lines += [
                f'<text x="{LABEL - 8}" y="{y + 14}" text-anchor="end">{escape(label)}</text>',
                f'<rect class="{"ours" if is_ours else "other"}" x="{LABEL}" y="{y}" width="{width}" height="{BAR}" rx="2"/>',
                f'<text x="{LABEL + width + 6}" y="{y + 14}">{escape(text)}</text>',
            ]
            y += BAR + GAP
        y += 8
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" role="img">',
        STYLE, *lines, "</svg>"]) + "\n"
