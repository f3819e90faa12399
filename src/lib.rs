#![doc = include_str!("../ARCHITECTURE.md")]

pub mod server;

pub mod net;

pub mod dispatch;

pub mod commands;
pub mod resp;
pub mod values;

pub mod store;

pub mod tiers;

pub mod audit;
pub mod clients;
pub mod clock;
pub mod config;
pub mod health;
pub mod http;
pub mod json;
pub mod limits;
pub mod log;
pub mod notifications;
pub mod pause;
pub mod pubsub;
pub mod services;
pub mod session;
pub mod stats;
pub mod tier_control;
pub mod waiting;
pub mod worker;
