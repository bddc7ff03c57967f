import IPNetwork
import Testing

@Suite struct AddressTests {
    /// RFC 5952, section by section, and corners that random input seldom hits.
    @Test(arguments: [
        ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        ("2001:0db8::0001", "2001:db8::1"),
        ("2001:db8:0:0:0:0:2:1", "2001:db8::2:1"),
        ("2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
        ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
        ("2001:DB8::ABCD", "2001:db8::abcd"),
        ("0:0:0:0:0:0:0:0", "::"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("1:0:0:0:0:0:0:0", "1::"),
        ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
        ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
        ("::ffff:c000:201", "::ffff:192.0.2.1"),
        ("64:ff9b::192.0.2.1", "64:ff9b::c000:201"),
        ("fe80:0:0:0:0:0:0:0", "fe80::"),
    ])
    func canonicalText(text: String, canonical: String) {
        #expect(IPv6Address(text)?.description == canonical)
    }

    @Test(arguments: [
        "", ":", ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8",
        "12345::", "g::", "1:", ":1", "fe80::1%eth0", "::1.2.3", "::1.2.3.4.5", "1.2.3.4::", "::1.2.3.4:5", " ::1",
        "::1 ", "::1\0", "1:2:3:4:5:6:7:1.2.3.4", "٢::",
    ])
    func refusedIPv6(text: String) {
        #expect(IPv6Address(text) == nil)
    }

    @Test(arguments: [
        "", ".", "1", "1.2.3", "1.2.3.", ".1.2.3", "1..2.3", "1.2.3.4.", "1.2.3.4.5", "256.0.0.1", "01.2.3.4",
        "1.2.3.00",
        "1.2.3.4 ", " 1.2.3.4", "+1.2.3.4", "-1.2.3.4", "0x1.2.3.4", "1.2.3.4\0", "99999999999.1.1.1", "١.2.3.4",
    ])
    func refusedIPv4(text: String) {
        #expect(IPv4Address(text) == nil)
    }

    @Test(arguments: [
        "10.0.0.0", "10.0.0.0/", "/8", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/08", "10.0.0.0/8/8",
        "10.0.0.0/ 8", "10.0.0/8", "10.0.0.0/255.0.0.0", "fd00::/8", "10.0.0.0/1000000000000000000000",
    ])
    func refusedPrefix(text: String) {
        #expect(IPv4Prefix(text) == nil)
    }

    @Test func hostBits() throws {
        #expect(IPv4Prefix("10.5.34.7/24")?.description == "10.5.34.0/24")
        let interface = try #require(IPv4InterfaceAddress("10.5.34.7/24"))
        #expect(interface.description == "10.5.34.7/24")
        #expect(interface.prefix.description == "10.5.34.0/24")
        #expect(IPv4InterfaceAddress(IPv4Address(10, 0, 0, 1), prefixLength: 33) == nil)
        #expect(IPv6Prefix(.loopback, length: 129) == nil)
        #expect(IPv6Prefix(.loopback, length: -1) == nil)
    }

    @Test func bytes() {
        #expect(IPv4Address(10, 5, 34, 1).bytes == [10, 5, 34, 1])
        #expect(IPv4Address(bytes: [10, 5, 34, 1]) == IPv4Address(10, 5, 34, 1))
        #expect(IPv4Address(bytes: [1, 2, 3]) == nil)
        #expect(IPv6Address(bytes: IPv6Address.loopback.bytes) == .loopback)
        #expect(IPAddress(bytes: [1, 2, 3, 4, 5]) == nil)
    }

    /// A value aligned to 16 bytes traps in debug builds of Swift 6.3 when a failable initialiser returns it.
    @Test func alignment() {
        #expect(MemoryLayout<IPv6Prefix>.alignment <= 8)
    }

    @Test func ends() throws {
        #expect(IPv4Address(rawValue: .max).advanced(by: 1) == nil)
        #expect(IPv4Prefix.all.next == nil && IPv4Prefix.all.previous == nil)
        #expect(IPv4Prefix.all.contains(IPv4Address(rawValue: .max)))
        #expect(IPv4Prefix("255.255.255.0/24")?.next == nil)
        #expect(Array(try #require(IPv4Prefix("255.255.255.254/31")).subnets(length: 32)).count == 2)
        #expect(Array(IPv4Prefix.all.subnets(length: 33)).isEmpty)
        #expect(IPv6Prefix.all.subnetCount(length: 64) == nil)
        #expect(IPv4Prefix("10.0.0.0/8")?.subnetCount(length: 4) == nil)
    }

    @Test(arguments: [
        ("127.0.0.1", false), ("0.1.2.3", false), ("169.254.1.1", false), ("224.0.0.1", false),
        ("255.255.255.255", false),
        ("172.30.0.11", true), ("126.255.255.255", true), ("223.255.255.255", true), ("1.0.0.0", true),
    ])
    func usableIPv4(text: String, usable: Bool) {
        #expect(IPv4Address(text)?.isUsableHostAddress == usable)
    }

    @Test(arguments: [
        ("::", false), ("::1", false), ("fe80::1", false), ("febf::1", false), ("ff02::1", false),
        ("::ffff:1.2.3.4", false), ("fec0::1", true), ("fd00::1", true), ("2001:db8::1", true),
    ])
    func usableIPv6(text: String, usable: Bool) {
        #expect(IPv6Address(text)?.isUsableHostAddress == usable)
    }
}

@Suite struct MACAddressTests {
    @Test(arguments: ["8e:01:02:aB:04:05", "8E-01-02-AB-04-05"])
    func parses(text: String) {
        #expect(MACAddress(text)?.description == "8e:01:02:ab:04:05")
        #expect(MACAddress(text)?.bytes == [0x8e, 1, 2, 0xab, 4, 5])
    }

    @Test(arguments: [
        "", "8e:01:02:ab:04", "8e:01:02:ab:04:05:06", "8e:01:02:ab:04:0g", "8e:01-02:ab:04:05", "8e01.02ab.0405",
        "8e:1:02:ab:04:05", ":8e:01:02:ab:04:0", "8e:01:02:ab:04:05 ", "8e.01.02.ab.04.05",
    ])
    func refuses(text: String) {
        #expect(MACAddress(text) == nil)
    }

    @Test func roundTrip() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<200 {
            let address = MACAddress(rawValue: generator.next())
            #expect(MACAddress(address.description) == address)
            #expect(MACAddress(bytes: address.bytes) == address)
        }
    }

    @Test func kinds() {
        #expect(MACAddress("01:00:5e:00:00:01")?.isMulticast == true)
        #expect(MACAddress("ff:ff:ff:ff:ff:ff")?.isValidUnicast == false)
        #expect(MACAddress("00:00:00:00:00:00")?.isValidUnicast == false)
        #expect(MACAddress("8e:01:02:03:04:05")?.isValidUnicast == true)
        #expect(MACAddress("8e:01:02:03:04:05")?.isLocallyAdministered == true)
        #expect(MACAddress("00:1b:21:03:04:05")?.isLocallyAdministered == false)
    }
}
