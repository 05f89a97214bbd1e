//! The ISO 4217 codes that an event may carry: those in force that have a minor unit.
//!
//! It leaves out, on purpose, what has no minor unit (XAU, XAG, XPD, XPT, XBA to XBD, XDR, XSU, XUA, XTS, XXX)
//! and what was withdrawn (such as HRK, which the euro replaced).

const EXPONENT_0: &str = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF";

const EXPONENT_2: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN \
    BZD CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD \
    GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK \
    MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR \
    SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS \
    VED VES WST XAD XCD XCG YER ZAR ZMW ZWG";

const EXPONENT_3: &str = "BHD IQD JOD KWD LYD OMR TND";

const EXPONENT_4: &str = "CLF UYW";

/// The number of decimal digits of the minor unit, or `None` for a code that no event may carry.
pub fn exponent(code: &str) -> Option<u8> {
    [(0, EXPONENT_0), (2, EXPONENT_2), (3, EXPONENT_3), (4, EXPONENT_4)]
        .into_iter()
        .find(|(_, codes)| codes.split_whitespace().any(|c| c == code))
        .map(|(exponent, _)| exponent)
}
