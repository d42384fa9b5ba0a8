//! What execution costs: core time for each unit of gas, and money for core time.

use std::time::Duration;

/// A price of computing: so much of a currency for a core during an hour.
#[derive(Clone, Debug, PartialEq)]
pub struct CorePrice {
    /// The amount.
    pub per_core_hour: f64,
    /// Its currency, such as `USD`.
    pub currency: String,
}

/// A price that nobody pays.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("a core-hour costs {0}: expected an amount that is not negative")]
pub struct BadPrice(f64);

impl CorePrice {
    /// # Errors
    /// Where the amount is negative or not a number.
    pub fn new(per_core_hour: f64, currency: &str) -> Result<Self, BadPrice> {
        if !per_core_hour.is_finite() || per_core_hour < 0.0 {
            return Err(BadPrice(per_core_hour));
        }
        Ok(Self { per_core_hour, currency: currency.to_owned() })
    }

    /// What so many core-seconds cost.
    pub fn of_core_seconds(&self, seconds: f64) -> f64 {
        seconds / 3600.0 * self.per_core_hour
    }
}

/// Core-seconds for a gigagas, if `gas` took so much of the time of cores; nothing for no gas.
#[expect(clippy::cast_precision_loss, reason = "gas of any number of blocks is far below 2⁵²")]
pub fn core_seconds_per_gigagas(core_time: Duration, gas: u64) -> f64 {
    if gas == 0 { 0.0 } else { core_time.as_secs_f64() / (gas as f64 / 1e9) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_time_is_priced_by_the_hour() {
        let price = CorePrice::new(0.036, "USD").unwrap();
        let seconds = core_seconds_per_gigagas(Duration::from_millis(500), 250_000_000);
        assert!((seconds - 2.0).abs() < 1e-12);
        assert!((price.of_core_seconds(seconds) - 0.000_02).abs() < 1e-12);
        assert!(core_seconds_per_gigagas(Duration::from_secs(1), 0).abs() < 1e-12);
        for amount in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(CorePrice::new(amount, "USD").is_err());
        }
    }
}
