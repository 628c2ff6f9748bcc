#include "octet/report/html.h"

#include <algorithm>
#include <cstdint>

#include "octet/support/error.h"

namespace octet::report {
namespace {

constexpr const char* kUnknown = "\xEF\xBF\xBD";

// Bytes of the well-formed UTF-8 character at `at`; 0 where there is none.
size_t character_at(const std::string& text, size_t at) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const unsigned first = byte(at);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xF0 && first < 0xF5   ? 4
                        : first >= 0xE0 && first < 0xF0 ? 3
                        : first >= 0xC2 && first < 0xE0 ? 2
                                                        : 0;
  uint32_t point = first & (0xFFU >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xC0U) != 0x80U) return 0;
    point = (point << 6U) | (byte(at + i) & 0x3FU);
  }
  const bool too_short = (length == 3 && point < 0x800) || (length == 4 && (point < 0x10000 || point > 0x10FFFF));
  const bool surrogate = point >= 0xD800 && point < 0xE000;
  return too_short || surrogate ? 0 : length;
}

}  // namespace

std::string escaped(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const size_t length = character_at(text, i);
    const char c = text[i];
    if (length == 0 || (length == 1 && static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7F) {
      out += kUnknown;
    } else if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '"') {
      out += "&quot;";
    } else if (c == '\'') {
      out += "&#39;";
    } else {
      out.append(text, i, length);
    }
    i += std::max<size_t>(1, length);
  }
  return out;
}

std::string html_table(const std::string& caption, const std::vector<std::string>& heading,
                       const std::vector<std::vector<std::string>>& rows, const std::vector<size_t>& numbers) {
  const auto cell = [&](const char* tag, size_t column, const std::string& content) {
    const bool is_number = std::find(numbers.begin(), numbers.end(), column) != numbers.end();
    return octet::str('<', tag, is_number ? " class=\"n\"" : "", '>', content, "</", std::string(tag).substr(0, 2),
                      '>');
  };
  std::string out = octet::str("<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"", caption,
                               "\"><table><caption>", caption, "</caption><thead><tr>");
  for (size_t i = 0; i < heading.size(); ++i) {
    const bool is_number = std::find(numbers.begin(), numbers.end(), i) != numbers.end();
    out += octet::str("<th scope=\"col\"", is_number ? " class=\"n\"" : "", '>', heading[i], "</th>");
  }
  out += "</tr></thead><tbody>\n";
  for (const auto& row : rows) {
    out += "<tr>";
    for (size_t i = 0; i < row.size(); ++i)
      out += i == 0 ? octet::str("<th scope=\"row\">", row[i], "</th>") : cell("td", i, row[i]);
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

std::string html_section(const std::string& id, const std::string& title, const std::string& body) {
  if (body.empty()) return {};
  return octet::str("<section id=\"", id, "\" aria-labelledby=\"", id, "-h\"><h2 id=\"", id, "-h\">", title, "</h2>\n",
                    body, "</section>\n");
}

const char* html_style() {
  return R"css(
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; --wash: #f3f5f7;
  --blue: #0b62c4; --green: #1a7f37; --amber: #9a5b00; --red: #c0241c; --violet: #7a3fc4; --teal: #0a7a82; }
@media (prefers-color-scheme: dark) { :root { --paper: #0f1318; --ink: #e4e8ec; --soft: #9aa5b1; --line: #323a44;
  --wash: #181e25; --blue: #6cb0ff; --green: #56c46e; --amber: #eba63c; --red: #ff7b72; --violet: #c297ff; --teal: #4fc3cc; } }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body { margin: 0 auto; max-width: 68rem; padding: 1rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, "Segoe UI", "Liberation Sans", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .6rem 0 .2rem; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 .6rem; padding-top: .8rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
p { margin: .4rem 0; max-width: 46rem; }
.soft, caption, figcaption { color: var(--soft); }
a { color: var(--blue); }
a:focus-visible, summary:focus-visible, .scroll:focus-visible { outline: 3px solid var(--blue); outline-offset: 2px; }
.skip { position: absolute; left: -999rem; }
.skip:focus { left: 1rem; background: var(--paper); padding: .5rem; }
nav ul { list-style: none; padding: 0; margin: .8rem 0; display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .6rem; margin: 1rem 0; padding: 0;
  list-style: none; }
.tiles li { background: var(--wash); border-radius: .5rem; padding: .6rem .8rem; }
.tiles b { display: block; font-size: 1.3rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
caption { text-align: left; padding: .2rem 0; }
th, td { text-align: left; vertical-align: top; padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--line);
  overflow-wrap: normal; }
th[scope=row] { font-weight: 500; overflow-wrap: anywhere; min-width: 12rem; }
td.wide { min-width: 16rem; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
figure { margin: .8rem 0; max-width: 46rem; }
figcaption { font-size: .88rem; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--soft); font-size: 11px; font-family: inherit; }
.axis { stroke: var(--line); stroke-width: 1; fill: none; vector-effect: non-scaling-stroke; }
.c0 { stroke: var(--blue); } .c1 { stroke: var(--red); stroke-dasharray: 7 4; }
.c2 { stroke: var(--green); stroke-dasharray: 2 4; } .c3 { stroke: var(--violet); stroke-dasharray: 9 3 2 3; }
.curve { fill: none; stroke-width: 2; } circle { stroke-dasharray: none; stroke-width: 1.5; }
.bar { fill: var(--blue); } .mean { fill: var(--ink); }
.band { fill: var(--green); opacity: .16; } .edge { stroke: var(--green); stroke-width: 1.5; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; font-size: .88rem; padding: 0; margin: .2rem 0; list-style: none; }
.legend svg { display: inline-block; width: 2rem; height: .6rem; vertical-align: middle; margin-right: .3rem; }
.meter { display: block; height: .45rem; background: var(--wash); border-radius: .2rem; min-width: 4rem; }
.meter i { display: block; height: 100%; border-radius: .2rem; background: var(--green); }
.meter.mid i { background: var(--amber); } .meter.bad i { background: var(--red); }
.small { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: .4rem 1.2rem; }
.net { list-style: none; margin: .6rem 0; padding: 0; font-size: .92rem; }
.net li { display: flex; align-items: stretch; break-inside: avoid; }
.net .rail { flex: none; position: relative; }
.net .rail svg { position: absolute; inset: 0; width: 100%; height: 100%; }
.net .rail path { stroke: var(--soft); stroke-width: 1.5; fill: none; vector-effect: non-scaling-stroke; }
.net .dot { position: absolute; top: .95rem; width: .7rem; height: .7rem; margin: -.35rem; border-radius: 50%; border: 2px solid var(--paper); }
.net .what { flex: 1; padding: .3rem .6rem; margin: .1rem 0; border-left: .3rem solid var(--line); background: var(--wash); }
.net .place { font-weight: 600; margin-right: .5rem; }
.p0 { --own: var(--blue); } .p1 { --own: var(--teal); } .p2 { --own: var(--violet); } .p3 { --own: var(--green); }
.cpu { --own: var(--amber); }
.net .what { border-left-color: var(--own); } .net .dot { background: var(--own); } .net .place { color: var(--own); }
details { margin: .6rem 0; } summary { cursor: pointer; color: var(--blue); }
pre { background: var(--wash); padding: .8rem; border-radius: .4rem; overflow-x: auto; font-size: .85rem; white-space: pre-wrap; }
dl { display: grid; grid-template-columns: minmax(8rem, max-content) 1fr; gap: .15rem 1.2rem; margin: .6rem 0; }
dt { color: var(--soft); } dd { margin: 0; }
@media (max-width: 34rem) { body { padding: .6rem .8rem 3rem; } dl { grid-template-columns: 1fr; } dd { margin-bottom: .35rem; }
  .tiles { grid-template-columns: 1fr 1fr; } td:not(.n) { min-width: 11rem; } th[scope=row] { min-width: 9rem; } .curves text { font-size: 17px; } }
@media print { :root { color-scheme: light; --paper: #fff; --ink: #000; --soft: #444; --line: #bbb; --wash: #fff; --blue: #0b4f9e;
  --green: #14632b; --amber: #7a4800; --red: #9c1c16; --violet: #5b2d96; --teal: #075f66; }
  body { max-width: none; padding: 0; font-size: 10pt; } nav, .skip { display: none; } .scroll { overflow: visible; }
  h2 { break-after: avoid; } figure, tr, .tiles li { break-inside: avoid; } .tiles li { border: 1px solid var(--line); }
  .meter { border: 1px solid var(--line); } .meter i, .net .dot, .bar, .band { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  td.wide { min-width: 0; } summary { color: var(--soft); list-style: none; }
  .net { columns: 2; column-gap: 1.5rem; font-size: 8.5pt; } details::details-content { content-visibility: visible; height: auto; display: block; } }
)css";
}

}  // namespace octet::report
