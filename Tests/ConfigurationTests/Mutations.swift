/// Changes some bytes of a text, mostly to signs that mean something in YAML.
func mutate(_ text: inout [UInt8], _ random: inout MutationRandom) {
    let signs = Array("[]{}:,-?&*#|>'\"%@`!~\n\t \\\u{0}".utf8)
    let place = Int.random(in: 0..<max(text.count, 1), using: &random)
    guard place < text.count else { return text.append(58) }
    switch Int.random(in: 0..<6, using: &random) {
    case 0: text[place] = UInt8.random(in: .min ... .max, using: &random)
    case 1: text.insert(signs[Int.random(in: 0..<signs.count, using: &random)], at: place)
    case 2: text.remove(at: place)
    case 3: text.removeSubrange(place..<min(text.count, place + Int.random(in: 1...40, using: &random)))
    case 4:
        let end = min(text.count, place + Int.random(in: 1...40, using: &random))
        text.insert(contentsOf: text[place..<end], at: Int.random(in: 0...text.count, using: &random))
    default: text[place] = signs[Int.random(in: 0..<signs.count, using: &random)]
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same mutations for the same seed.
struct MutationRandom: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
