/// Lines over an axis, as one SVG element. Colours come from the page's style sheet, so that it reads in light, in dark and
/// on paper; lines differ in dashes as well.
struct LineChart {
    struct Point {
        /// From 0, at the left, to 1.
        var x: Double
        var y: Double
    }

    struct Line {
        var name: String
        var points: [Point]
    }

    struct Tick {
        var x: Double
        var label: String
    }

    static let maximumLines = 3

    var title: String
    var lines: [Line]
    var xTicks: [Tick]
    var xTitle: String
    var yScale: AxisScale
    var yLabel: (Double) -> String

    private let width = 720.0
    private let height = 260.0
    private let left = 92.0
    private let right = 14.0
    private let top = 40.0
    private let bottom = 46.0

    init(
        title: String, lines: [Line], xTicks: [Tick], xTitle: String, yScale: AxisScale,
        yLabel: @escaping (Double) -> String
    ) {
        self.title = title
        self.lines = lines
        self.xTicks = xTicks
        self.xTitle = xTitle
        self.yScale = yScale
        self.yLabel = yLabel
    }

    var svg: String {
        var svg = """
            <svg viewBox="0 0 \(number(width)) \(number(height))" role="img" aria-label="\(escapeHTML(title))">
            <text class="chart-title" x="\(number(left))" y="16">\(escapeHTML(title))</text>

            """
        svg += legend + axes
        for (index, line) in lines.prefix(Self.maximumLines).enumerated() where !line.points.isEmpty {
            let points = line.points.map { "\(number(x($0.x))),\(number(y($0.y)))" }.joined(separator: " ")
            svg += "<polyline class=\"line line-\(index)\" points=\"\(points)\"/>\n"
        }
        return svg + "</svg>\n"
    }

    private func x(_ place: Double) -> Double { left + place * (width - left - right) }
    private func y(_ value: Double) -> Double { height - bottom - yScale.place(of: value) * (height - top - bottom) }
    private func number(_ value: Double) -> String { NumberText.fixed(value, 1) }

    private var legend: String {
        guard lines.count > 1 else { return "" }
        var text = ""
        var place = width - right
        for (index, line) in lines.prefix(Self.maximumLines).enumerated().reversed() {
            // About seven units a letter of this size.
            place -= Double(line.name.count) * 7
            text += "<text class=\"label\" x=\"\(number(place))\" y=\"16\">\(escapeHTML(line.name))</text>\n"
            text +=
                "<line class=\"line line-\(index)\" x1=\"\(number(place - 30))\" y1=\"12\" x2=\"\(number(place - 6))\" y2=\"12\"/>\n"
            place -= 46
        }
        return text
    }

    private var axes: String {
        var text = ""
        for tick in yScale.ticks {
            let at = number(y(tick.value))
            text +=
                "<line class=\"grid\" x1=\"\(number(left))\" y1=\"\(at)\" x2=\"\(number(width - right))\" y2=\"\(at)\"/>\n"
            text +=
                "<text class=\"label end\" x=\"\(number(left - 8))\" y=\"\(number(y(tick.value) + 4))\">"
                + "\(escapeHTML(yLabel(tick.value)))</text>\n"
        }
        for tick in xTicks {
            let at = number(x(tick.x))
            text +=
                "<line class=\"grid\" x1=\"\(at)\" y1=\"\(number(top))\" x2=\"\(at)\" y2=\"\(number(height - bottom))\"/>\n"
            text +=
                "<text class=\"label middle\" x=\"\(at)\" y=\"\(number(height - bottom + 16))\">\(escapeHTML(tick.label))</text>\n"
        }
        return text
            + "<text class=\"label middle\" x=\"\(number((left + width - right) / 2))\" y=\"\(number(height - 8))\">"
            + "\(escapeHTML(xTitle))</text>\n"
    }
}

/// Text as it can stand in an element or a quoted attribute.
func escapeHTML(_ text: String) -> String {
    var result = ""
    for character in text {
        switch character {
        case "&": result += "&amp;"
        case "<": result += "&lt;"
        case ">": result += "&gt;"
        case "\"": result += "&quot;"
        default: result.append(character)
        }
    }
    return result
}
