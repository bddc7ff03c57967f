/// Numbers as people read them.
enum Format {
    /// `0.4 s`, `12 s`.
    static func seconds(_ duration: Duration) -> String {
        let tenths = Int((duration / .milliseconds(100)).rounded())
        return tenths < 100 ? "\(tenths / 10).\(tenths % 10) s" : "\(tenths / 10) s"
    }

    /// Whole milliseconds, `12 ms`.
    static func milliseconds(_ duration: Duration) -> String {
        "\(Int((duration / .milliseconds(1)).rounded())) ms"
    }

    /// `11.8 Gbit/s`, `940 Mbit/s`.
    static func rate(_ bitsPerSecond: Double) -> String {
        if bitsPerSecond >= 1e9 {
            let tenths = Int((bitsPerSecond / 1e8).rounded())
            return "\(tenths / 10).\(tenths % 10) Gbit/s"
        }
        return "\(Int((bitsPerSecond / 1e6).rounded())) Mbit/s"
    }

    /// `1 host`, `3 hosts`.
    static func count(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }
}
