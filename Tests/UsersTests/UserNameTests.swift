import Testing
import Users

@Suite struct UserNameTests {
    @Test(arguments: ["a", "anna", "anna.b_c-d", "anna@example.org", "7", String(repeating: "x", count: 64)])
    func names(_ text: String) { #expect(UserName(text)?.text == text) }

    @Test(arguments: [
        "", "-anna", ".anna", "Anna", "an na", "an/na", "änna", "anna\n", "a=b", "a\"b", "a:b",
        String(repeating: "x", count: 65),
    ])
    func otherTexts(_ text: String) { #expect(UserName(text) == nil) }
}
