import Packets
import SimNet
import Testing

@Suite struct SequenceNumberTests {
    @Test(arguments: [UInt32(0), 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFE, 0xFFFF_FFFF])
    func orderAndDistanceAreTheSameEverywhereOnTheCircle(base: UInt32) {
        let a = SequenceNumber(base)
        for step in [1, 1000, 65_535, 1 << 30, Int(Int32.max)] {
            let b = a + step
            #expect(a < b && a <= b && b > a && b >= a && a != b)
            #expect(!(b < a) && !(b <= a) && !(a > b) && !(a >= b))
            #expect(b - a == step)
            #expect(a - b == -step)
            #expect(b - step == a)
            #expect(SequenceNumber.earlier(a, b) == a && SequenceNumber.later(a, b) == b)
        }
        #expect(a <= a && a >= a && !(a < a) && !(a > a) && a - a == 0)
    }

    @Test func wrapsInBothDirections() {
        #expect(SequenceNumber(0xFFFF_FFFF) + 1 == SequenceNumber(0))
        #expect(SequenceNumber(0) - 1 == SequenceNumber(0xFFFF_FFFF))
        #expect(SequenceNumber(5) + -6 == SequenceNumber(0xFFFF_FFFF))
        #expect(SequenceNumber(5) + Int.max == SequenceNumber(4))
        var n = SequenceNumber(0xFFFF_FFF0)
        n += 0x20
        #expect(n.rawValue == 0x10)
        n -= 0x20
        #expect(n.rawValue == 0xFFFF_FFF0)
    }

    @Test func oppositePointsAreBehindEachOther() {
        let (a, b) = (SequenceNumber(0), SequenceNumber(0x8000_0000))
        #expect(a < b && b < a)
        #expect(a - b == Int(Int32.min))
    }
}
