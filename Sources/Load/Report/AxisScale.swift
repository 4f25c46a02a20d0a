/// An axis from a value to a place, with ticks at round values.
struct AxisScale {
    struct Tick {
        var value: Double
        /// From 0, at the axis's beginning, to 1.
        var place: Double
    }

    private enum Kind {
        case linear(maximum: Double)
        /// From one power of ten to another.
        case decades(from: Int, to: Int)
    }

    private let kind: Kind
    let ticks: [Tick]

    /// From zero to a round value at or above `maximum`, with about four ticks.
    static func linear(maximum: Double) -> AxisScale {
        let step = roundStep(atLeast: (maximum > 0 ? maximum : 1) / 4)
        let steps = max(1, Int((maximum / step - 1e-9).rounded(.up)))
        let top = step * Double(steps)
        return AxisScale(
            kind: .linear(maximum: top),
            ticks: (0...steps).map { Tick(value: step * Double($0), place: Double($0) / Double(steps)) })
    }

    /// Powers of ten around two positive values. What is not positive stands at the beginning.
    static func decades(minimum: Double, maximum: Double) -> AxisScale {
        let low = max(minimum, 1e-3)
        var from = 0
        while power(from) > low { from -= 1 }
        while power(from + 1) <= low { from += 1 }
        var to = from + 1
        while power(to) < maximum { to += 1 }
        return AxisScale(
            kind: .decades(from: from, to: to),
            ticks: (from...to).map { Tick(value: power($0), place: Double($0 - from) / Double(to - from)) })
    }

    func place(of value: Double) -> Double {
        switch kind {
        case .linear(let maximum): min(max(value / maximum, 0), 1)
        case .decades(let from, let to): min(max((decimalLogarithm(value) - Double(from)) / Double(to - from), 0), 1)
        }
    }

    /// 1, 2 or 5 times a power of ten.
    private static func roundStep(atLeast value: Double) -> Double {
        var scale = 1.0
        while scale * 10 <= value { scale *= 10 }
        while scale > value { scale /= 10 }
        for factor in [1.0, 2, 5] where factor * scale >= value { return factor * scale }
        return 10 * scale
    }

    private static func power(_ exponent: Int) -> Double {
        var value = 1.0
        for _ in 0..<exponent.magnitude { value *= 10 }
        return exponent < 0 ? 1 / value : value
    }
}

/// To base ten, to nine digits: enough to draw by. There is no mathematical library at this layer.
func decimalLogarithm(_ value: Double) -> Double {
    guard value > 0, value.isFinite else { return -.infinity }
    var rest = value
    var whole = 0.0
    while rest >= 10 {
        rest /= 10
        whole += 1
    }
    while rest < 1 {
        rest *= 10
        whole -= 1
    }
    // One binary digit of the fraction at a time: squaring doubles the logarithm.
    var fraction = 0.0
    var digit = 0.5
    for _ in 0..<30 {
        rest *= rest
        if rest >= 10 {
            rest /= 10
            fraction += digit
        }
        digit /= 2
    }
    return whole + fraction
}
