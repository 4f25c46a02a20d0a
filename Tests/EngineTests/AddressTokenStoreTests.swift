import Primitives
import Testing

@testable import Client

struct AddressTokenStoreTests {
    private func server(_ number: Int) -> Endpoint { Endpoint(IPAddress("192.0.2.1")!, UInt16(number)) }

    @Test func oneForEachServerUsedOnce() {
        var store = AddressTokenStore()
        store.keep([1], for: server(1))
        store.keep([2], for: server(2))
        store.keep([3], for: server(1))
        #expect(store.count == 2)
        let first = store.take(for: server(1))
        let again = store.take(for: server(1))
        let other = store.take(for: server(2))
        #expect(first == [3] && again == nil && other == [2])
    }

    @Test func theOldestGoesAtTheLimit() {
        var store = AddressTokenStore()
        for number in 0...AddressTokenStore.limit { store.keep([UInt8(number)], for: server(number)) }
        #expect(store.count == AddressTokenStore.limit)
        let oldest = store.take(for: server(0))
        let newest = store.take(for: server(AddressTokenStore.limit))
        #expect(oldest == nil && newest != nil)
    }
}
