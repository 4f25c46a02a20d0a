import Configuration
import Primitives
import Tunnel
import Users

/// A line of a user's list that is understood is the same when it is written and read again; and names are written as in the server's
/// own rules: what one of the two takes, the other takes for the same.
func fuzzDestinations(_ bytes: UnsafeRawBufferPointer) {
    let text = String(decoding: bytes, as: UTF8.self)
    let pattern = try? DomainPattern(text)
    do throws(DestinationRule.Fault) {
        let rule = try DestinationRule(text)
        require((try? DestinationRule(rule.description)) == rule, "a rule is another one when it is read again")
        if case .names(let names) = rule.target {
            require((try? DomainPattern(names.description)) == names, "a name is another one when it is read again")
            let reached = names.reach == .below ? "a." + names.name.text : names.name.text
            require(names.matches(reached) && !names.matches(names.name.text + "x"), "a pattern without its own name")
        }
        if let pattern, !text.utf8.contains(UInt8(ascii: ":")) {
            require(rule.target == .names(pattern), "a name that means two things")
        }
    } catch {
        require(!error.description.isEmpty, "refused without a word")
        require(pattern == nil, "a name of the policy that is none for users: \(text)")
    }
    if case .value(let range) = SettingKind<ClosedRange<UInt16>>.portRange.parse(text) {
        require((try? DestinationRule("*:" + text))?.ports == range, "ports that mean two things")
    }
}
