/// The known name that a mistyped one most probably means, or nil when none is near.
///
/// Near is an edit distance of at most a third of the longer name, and at most three. A known name that the
/// mistyped one begins, or that begins it, is near as well.
func nearestName(to name: String, among known: [String]) -> String? {
    let longest = 64
    guard name.unicodeScalars.count <= longest else { return nil }
    var best: (name: String, distance: Int)?
    for candidate in known {
        let distance = editDistance(name.lowercased(), candidate)
        let allowed = max(1, min(3, max(name.count, candidate.count) / 3))
        if distance <= allowed, distance < best?.distance ?? .max { best = (candidate, distance) }
    }
    if let best { return best.name }
    return known.first { name.count >= 3 && ($0.hasPrefix(name) || name.hasPrefix($0)) }
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`
/// (optimal string alignment distance).
func editDistance(_ a: String, _ b: String) -> Int {
    let a = Array(a.unicodeScalars)
    let b = Array(b.unicodeScalars)
    if a.isEmpty || b.isEmpty { return max(a.count, b.count) }
    var rows = [Array(0...b.count)]
    for i in 1...a.count {
        var row = [i]
        for j in 1...b.count {
            var cost = min(rows[i - 1][j] + 1, row[j - 1] + 1, rows[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1))
            if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] { cost = min(cost, rows[i - 2][j - 2] + 1) }
            row.append(cost)
        }
        rows.append(row)
    }
    return rows[a.count][b.count]
}
